"""The extraction stages: dialogues in, one HDF5 file out, with the reasons for what is absent.

Every file names its utterances (``id`` [N]), says which were not observed (``reason`` [N], empty
where observed) and which item each dialogue came from (``dialogue`` [M], ``item_key`` [M]; where a
dialogue has none, because its failure was accepted, the reason follows the key).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from pipeline.errors import UserError
from pipeline.store.code import result_digest
from pipeline.store.h5 import Arrays, DamagedFileError, read_h5, write_h5
from pipeline.store.keys import library_versions, work_key
from pipeline.store.spool import Spool
from pipeline.work.extraction import Item, extract, modules_of, stack_on_disk, summarise

Row = TypeVar("Row")


@dataclass(frozen=True)
class ExtractionStage(Generic[Row]):
    """A stage that maps dialogues to arrays."""

    name: str
    """The stage; its module is ``stages.<name>`` and its result ``<name>.h5``."""
    modality: str
    """What its utterances may lack."""
    function: Callable[[Sequence[Row]], Arrays]
    """Rows of one dialogue to its arrays; runs in worker processes.  The encoder is bound to it."""
    inputs: Callable[[str, Sequence[Row]], Any]
    """(dialogue, rows) to the JSON values that define the result, beside ``settings``."""
    settings: Mapping[str, Any]
    """JSON values that define every result: params, and digests of weights."""
    libraries: Sequence[str]
    """Distributions whose versions define every result."""
    empty: Arrays
    """The arrays of no utterance; ``reason`` is one of them."""
    about: Mapping[str, Any]
    """What else the provenance says; ``encoder`` in plain words for a modality's features."""
    workers: int
    per_utterance: Sequence[str] = ("features",)
    """The arrays, beside ``reason``, that have a row for each utterance; others have rows of their own."""
    arrange: Callable[[Iterable[Arrays]], Iterable[Arrays]] = iter
    """Applied to all dialogues' arrays before they are put together."""
    extra: Arrays = field(default_factory=dict)
    """Arrays of the file that belong to no dialogue."""
    figures: Callable[[Mapping[str, np.ndarray | Spool]], Mapping[str, int]] = lambda arrays: {}
    """What to count over all arrays, to be printed and to stand in the provenance."""


def run_extraction(
    corpus: str,
    stage: ExtractionStage[Row],
    dialogues: Mapping[str, Sequence[Row]],
    ids: Sequence[str],
    limit: float,
) -> None:
    """Extract every dialogue, say what was not observed, and write ``data/<corpus>/<stage>.h5``.

    UserError if a larger share of the utterances than ``limit`` was not observed.
    """
    versions = library_versions(*stage.libraries)
    code = result_digest(*modules_of(stage.function))
    items = [
        Item(
            key=work_key(
                stage.name,
                code=code,
                versions=versions,
                settings=stage.settings,
                rows=stage.inputs(dialogue, rows),
            ),
            dialogue=dialogue,
            utterances=len(rows),
            work=rows,
        )
        for dialogue, rows in dialogues.items()
    ]
    failures: dict[str, str] = {}

    def stand_in(item: Item, reason: str) -> Arrays:
        failures[item.key] = reason
        return nothing_observed(item.work, reason, stage)

    parts = extract(
        stage.name,
        items,
        stage.function,
        workers=stage.workers,
        libraries=stage.libraries,
        stand_in=stand_in,
    )
    arrays = stack_on_disk(stage.arrange(parts), stage.empty, Path("data", corpus))
    summarise(stage.name, stage.modality, ids, np.asarray(arrays["reason"]), limit)
    if failures:  # DVC takes the file for a result like any other, and does not run the stage again
        stand_ins = sum(item.key in failures for item in items)
        print(
            f"{stage.name}: {stand_ins} of {len(items)} dialogues are stand-ins;"
            f" dvc repro --force --single-item {stage.name}@{corpus} tries them again",
            flush=True,
        )
    figures = dict(stage.figures(arrays))
    if figures:
        print(f"{stage.name}: {', '.join(f'{count} {what}' for what, count in figures.items())}", flush=True)
    provenance = {
        **stage.about,
        **({"figures": figures} if figures else {}),
        "settings": stage.settings,
        "versions": versions,
    }
    # What a later stage makes of a failure must not be taken for what it makes of the dialogue itself.
    items = [
        replace(item, key=f"{item.key} {failures[item.key]}") if item.key in failures else item
        for item in items
    ]
    _write(corpus, stage.name, ids, items, {**arrays, **stage.extra}, provenance)


def nothing_observed(rows: Sequence[Row], reason: str, stage: ExtractionStage[Row]) -> Arrays:
    """Arrays of a dialogue that could not be computed: zeros, no face, and the reason per utterance."""
    zeros = {
        name: np.zeros((len(rows) if name in stage.per_utterance else 0, *array.shape[1:]), array.dtype)
        for name, array in stage.empty.items()
    }
    return zeros | {"reason": np.array([reason] * len(rows))}


def write_unused(stage: str, corpus: str, why: str = "modalities leaves its modality out") -> None:
    """Stand in for the result of a stage that the corpus does without; ``why`` begins with a param's key."""
    _write(corpus, stage, [], [], {}, {})
    print(f"{stage}: nothing to do, corpora.{corpus}.{why}")


def _write(
    corpus: str,
    stage: str,
    ids: Sequence[str],
    items: Sequence[Item],
    arrays: Mapping[str, np.ndarray | Spool],
    provenance: Mapping[str, Any],
) -> None:
    head = {
        "id": np.array(ids, dtype=str),
        "dialogue": np.array([item.dialogue for item in items], dtype=str),
        "item_key": np.array([item.key for item in items], dtype=str),
    }
    attrs = {"provenance": json.dumps(provenance, sort_keys=True, ensure_ascii=False)}
    write_h5(Path("data", corpus, f"{stage}.h5"), {**head, **arrays}, attrs)


def read_stage_file(path: Path, ids: Sequence[str]) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and provenance; UserError unless the file is sound and holds exactly these utterances."""
    try:
        arrays, attrs = read_h5(path)
        found, provenance = arrays["id"].tolist(), json.loads(attrs["provenance"])
    except (FileNotFoundError, DamagedFileError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run dvc repro, which makes it") from None
    if found != list(ids):
        raise UserError(f"{path}: holds other utterances than the manifest; run dvc repro")
    return arrays, provenance


def no_vectors(dimension: int) -> Arrays:
    """Zero rows of what a stage with one vector per utterance makes: features [0, D], reason [0]."""
    return {"features": np.empty((0, dimension), np.float32), "reason": np.empty(0, str)}
