"""``multiemo doctor``: whether extraction of a corpus can work here, and how long it may take."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.console.shared.measuring import measure_stages
from pipeline.corpora.annotations.corpus import read_format
from pipeline.encoders.kinds import encoder_key, names_weights, read_encoder
from pipeline.encoders.text import TextEncoder
from pipeline.errors import UserError
from pipeline.params import DEMO_ROOT, CorpusParams, Modality, read_params

# Of each vector: the item, the stage's file, the feature file.
COPIES = 3
TRAINED_COPIES = 9
"""Of a text encoder's weights, while it is fine-tuned: three checkpoints, each with AdamW's two moments."""
GENEROUS_DIMENSIONS = 8192
"""Of all modalities together: ComParE_2016 has 6373 of them."""


class Finding(NamedTuple):
    """One line."""

    passed: bool
    subject: str
    words: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``multiemo doctor``."""
    parser.description = (
        "Look, in one screen, whether extraction of a corpus can work here: annotations and media, weights\n"
        "(nothing is downloaded), device, disk; and measure, on one clip and the text of one dialogue, how\n"
        "long each stage may take.  Exit status 1 if something is missing."
    )
    parser.epilog = "example:\n  multiemo doctor meld"
    parser.add_argument("corpus", help="an entry under corpora")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    params = read_params().corpus(arguments.corpus)
    os.environ["HF_HUB_OFFLINE"] = "1"  # before the hub's client reads it
    failed = False
    for passed, subject, words in examine(arguments.corpus, params):
        print(f"{'ok     ' if passed else 'MISSING'} {subject:<14} {words}", flush=True)
        failed |= not passed
    return int(failed)


def examine(corpus: str, params: CorpusParams) -> Iterator[Finding]:
    """All findings, the quick ones first."""
    annotations: Sequence[Any] = ()
    try:
        form = read_format(corpus, params)
        annotations = form.module.read(Path(params.root), form.params).annotations
        yield Finding(True, "annotations", f"{len(annotations)} utterances in {params.root}")
    except UserError as error:
        if params.root == DEMO_ROOT:
            words = "none yet: the first run makes the demo's own; then this also measures the stages"
            yield Finding(True, "annotations", words)
        else:
            yield Finding(False, "annotations", str(error))
    there = [row for row in annotations if row.media and (params.folder / row.media).is_file()]
    of_media = set(params.modalities) - {"text"}
    if of_media and annotations:
        absent = len(annotations) - len(there)
        share = min(getattr(params.max_unobserved, modality) for modality in of_media)
        words = f"of {len(there)} utterances" + (f", {absent} have none" if absent else "")
        yield Finding(absent <= share * len(annotations), "media", words)
    encoders: dict[str, Any] = {}
    for modality in params.modalities:
        try:
            encoders[modality] = _find_encoder(corpus, params, modality)
            yield Finding(True, f"{modality} encoder", encoders[modality].description)
        except UserError as error:
            yield Finding(False, f"{modality} encoder", str(error))
    yield from _machine(len(annotations), _checkpoints_gb(params, encoders.get("text")))
    for stage, told in measure_stages(corpus, params, annotations, there, encoders):
        yield Finding(not isinstance(told, UserError), stage, str(told))


def _find_encoder(corpus: str, params: CorpusParams, modality: Modality) -> Any:
    from pipeline.encoders.hub import NotCachedError
    from pipeline.encoders.weights import pin_weights

    key = encoder_key(corpus, modality)
    kind = read_encoder(corpus, params, modality)
    try:
        weights = pin_weights(key, kind.params, remember=False) if names_weights(kind.params) else None
    except NotCachedError as error:
        raise UserError(
            f"{kind.params.weights} is not in the local cache of the hub; where there is a network the first"
            f" run downloads it, or `multiemo fetch {corpus}`"
        ) from error
    return kind.module.find_encoder(key, kind.params, weights)


def _checkpoints_gb(params: CorpusParams, encoder: TextEncoder | None) -> float:
    """What fine-tuning keeps until it ends; 0 where nothing is trained but what is untrained and small."""
    from pipeline.encoders.weights import model_files

    if not params.finetune.epochs or encoder is None or encoder.path is None:
        return 0.0
    return TRAINED_COPIES * sum(file.stat().st_size for file in model_files(encoder.path)) / 1e9


def _machine(utterances: int, checkpoints_gb: float) -> Iterator[Finding]:
    from pipeline import runtime

    try:
        yield Finding(True, "device", f"{runtime.device_name()}, {runtime.model_workers()} workers")
    except UserError as error:
        yield Finding(False, "device", str(error))
    features_gb = COPIES * utterances * GENEROUS_DIMENSIONS * 4 / 1e9
    disks = [
        ("store", runtime.store_root(), features_gb, "features"),
        ("outputs", Path("data").absolute(), features_gb, "features"),
    ]
    if checkpoints_gb:
        disks.append(("checkpoints", runtime.checkpoint_root(), checkpoints_gb, "fine-tuning"))
    for subject, folder, needed_gb, what in disks:
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        free_gb = shutil.disk_usage(existing).free / 1e9
        writable = os.access(existing, os.W_OK)
        words = f"{folder}: {free_gb:.1f} GB free"
        if utterances:
            words += f", at most {needed_gb:.1f} GB are needed for {what}"
        passed = writable and free_gb > needed_gb
        yield Finding(passed, subject, words if writable else f"{folder}: cannot be written to")
