"""Map a stage's function over dialogues: skip what is stored, run the rest in parallel.

DVC decides whether a stage runs; the item store decides which dialogues inside it still must.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed, parallel_config
from tqdm import tqdm

from pipeline import runtime
from pipeline.errors import UserError
from pipeline.h5 import Arrays
from pipeline.itemstore import ItemStore


@dataclass(frozen=True)
class Item:
    """One dialogue of one stage: what to do, and the key under which the result is kept."""

    key: str
    dialogue: str
    utterances: int
    work: Any
    """What the stage's function gets: paths, texts and numbers, small enough to send to a worker."""


def extract(
    stage: str, items: Sequence[Item], function: Callable[[Any], Arrays], *, workers: int
) -> Iterator[Arrays]:
    """The arrays of every item, in order, computing those that the store does not hold.

    ``function`` maps an item's work to its arrays; it runs in a worker process and must depend on
    nothing but that work, so that neither neighbours nor the number of workers change a result.
    """
    store = ItemStore(runtime.store_root(), stage)
    pending = [item for item in items if store.get(item.key) is None]
    stored = len(items) - len(pending)
    print(f"{stage}: {len(pending)} of {len(items)} dialogues to do, {stored} stored", flush=True)
    if pending:
        _compute(stage, pending, function, store, workers)
    for item in items:
        arrays = store.get(item.key)
        if arrays is None:
            raise UserError(
                f"item store: {store.path(item.key)} vanished during the run; run dvc repro again"
            )
        yield arrays


def _compute(
    stage: str, items: Sequence[Item], function: Callable[[Any], Arrays], store: ItemStore, workers: int
) -> None:
    # Longest first, so that no worker is left alone with a long dialogue at the end.
    queue = sorted(items, key=lambda item: item.utterances, reverse=True)
    jobs = (delayed(_compute_and_store)(item, function, store) for item in queue)
    # loky replaces a worker whose memory has grown; no work is lost, and nothing need be done.
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
    # One thread per worker: the order of sums, and so the result, must not depend on idle cores.
    with (
        tqdm(
            total=sum(item.utterances for item in items), desc=stage, unit=" utterances", file=sys.stdout
        ) as bar,
        parallel_config("loky", inner_max_num_threads=1),
        Parallel(n_jobs=min(workers, len(items)), return_as="generator_unordered") as parallel,
    ):
        for done, utterances in enumerate(parallel(jobs), start=1):
            bar.set_postfix_str(f"{done}/{len(items)} dialogues", refresh=False)
            bar.update(utterances)


def _compute_and_store(item: Item, function: Callable[[Any], Arrays], store: ItemStore) -> int:
    store.put(item.key, function(item.work))
    return item.utterances


def stack(parts: Iterable[Arrays], empty: Arrays) -> Arrays:
    """Arrays of all parts, one below the other; ``empty`` has the names, types and row shapes."""
    columns: dict[str, list[np.ndarray]] = {name: [array] for name, array in empty.items()}
    for part in parts:
        for name, column in columns.items():
            column.append(part[name])
    return {name: np.concatenate(column) for name, column in columns.items()}


def summarise(stage: str, modality: str, reasons: np.ndarray, limit: float) -> None:
    """Print what was not observed and why; UserError if its share exceeds ``max_unobserved``.

    ``reasons`` holds one text per utterance, empty where the modality was observed.
    """
    missing = Counter(reasons[reasons != ""].tolist())
    count, total = missing.total(), len(reasons)
    why = "; ".join(f"{number} {reason}" for reason, number in missing.most_common())
    print(
        f"{stage}: {total - count} of {total} utterances observed" + (f" (not: {why})" if why else ""),
        flush=True,
    )
    if count > limit * total:
        raise UserError(
            f"{count} of {total} utterances lack {modality} ({count / total:.1%}), more than"
            f" max_unobserved.{modality}: {limit} allows; mend the corpus or raise the limit. Reasons: {why}"
        )
