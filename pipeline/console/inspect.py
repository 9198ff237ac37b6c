"""``multiemo inspect``: what a feature file holds, in words and figures."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

from pipeline.features.cautions import describe_seen
from pipeline.features.inspection import Inspection, ModalitySummary, inspect_features

SHOWN = 5
"""Reasons and names in one list; ``--json`` has them all."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``multiemo inspect``."""
    parser.description = (
        "What a feature file holds: utterances, dialogues, speakers and classes by split; what was observed\n"
        "of each modality and why the rest was not; and how the features were made. The features themselves\n"
        "are not read: `multiemo verify` does that."
    )
    parser.epilog = "example:\n  multiemo inspect data/demo/features.h5"
    parser.add_argument("file", type=Path, help="a features.h5")
    parser.add_argument("--json", action="store_true", help="everything, for programs")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    inspection = inspect_features(arguments.file)
    if arguments.json:
        print(json.dumps(dataclasses.asdict(inspection), indent=2, ensure_ascii=False))
    else:
        print("\n".join(describe(inspection)))
    return 0


def describe(inspection: Inspection) -> Iterator[str]:
    """The lines that a person reads."""
    size = f"{inspection.size_bytes / 1e6:.1f} MB"
    yield f"{inspection.path}: features of corpus {inspection.corpus}, schema {inspection.schema}, {size}"
    yield f"content {inspection.content_sha256}"
    written = inspection.modified
    yield f"written here {written} (the content holds no time, so that equal runs give equal files)"
    if inspection.removed:
        yield f"taken out before it was shared: {'; '.join(inspection.removed)}"
        yield "it is still personal data, of those whose voices, faces or words it describes: docs/privacy.md"
    yield ""
    yield from _describe_splits(inspection)
    for name, modality in inspection.modalities.items():
        yield ""
        yield from _describe_modality(name, modality, inspection)


def _describe_splits(inspection: Inspection) -> Iterator[str]:
    summaries = inspection.splits
    rows: list[tuple[str, list[int]]] = [
        (field, [getattr(summary, field) for summary in summaries.values()])
        for field in ("utterances", "dialogues", "speakers")
    ]
    rows += [
        (f"  {emotion}", [summary.classes[emotion] for summary in summaries.values()])
        for emotion in summaries["all"].classes
    ]
    if summaries["all"].unlabelled:
        rows.append(("  unlabelled", [summary.unlabelled for summary in summaries.values()]))
    width = max(len(name) for name, _ in rows)
    yield " " * width + "".join(f"{name:>9}" for name in summaries)
    for name, counts in rows:
        yield f"{name:<{width}}" + "".join(f"{count:>9}" for count in counts)


def _describe_modality(name: str, modality: ModalitySummary, inspection: Inspection) -> Iterator[str]:
    total = inspection.splits["all"].utterances
    yield f"{name}: {modality.dimension} dimensions by {modality.encoder}"
    by_split = ", ".join(
        f"{part} {modality.observed[part]} of {summary.utterances}"
        for part, summary in inspection.splits.items()
        if part != "all" and summary.utterances
    )
    yield f"  observed      {modality.observed['all']} of {total} utterances ({by_split})"
    for reason, count in [*modality.reasons.items()][:SHOWN]:
        yield f"  not observed  {count}: {reason}"
    if len(modality.reasons) > SHOWN:
        rest = [*modality.reasons.values()][SHOWN:]
        yield f"  not observed  {sum(rest)}: {len(rest)} other reasons"
    if modality.minimum is not None:
        yield f"  range         {modality.minimum:.6g} to {modality.maximum:.6g}"
    if modality.constant_columns:
        shown = modality.constant_names or [str(column) for column in modality.constant_columns]
        more = ", ..." if len(shown) > SHOWN else ""
        yield f"  constant      {len(shown)} features: {', '.join(shown[:SHOWN])}{more}"
    if modality.weights:
        weights = ", ".join(f"{key} {_short(value)}" for key, value in modality.weights.items())
        yield f"  weights       {weights}"
    if modality.seen_labels:
        yield f"  CAUTION       {describe_seen(modality.encoder)}"
    if modality.non_commercial:
        yield f"  licence       {modality.non_commercial}: no commercial use"
    elif modality.licence:
        yield f"  licence       {modality.licence}"
    if modality.versions:
        versions = ", ".join(f"{library} {version}" for library, version in modality.versions.items())
        yield f"  made with     {versions}"


def _short(digest: str) -> str:
    """The beginning of a SHA-256; other text as it is."""
    is_digest = len(digest) == 64 and set(digest) <= set("0123456789abcdef")
    return f"{digest[:12]}..." if is_digest else digest
