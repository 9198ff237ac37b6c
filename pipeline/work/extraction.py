"""Map a stage's function over dialogues: skip what is stored, run the rest in parallel.

DVC decides whether a stage runs; the item store decides which dialogues inside it still must.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import runtime
from pipeline.errors import UserError
from pipeline.store.arrays import stack
from pipeline.store.code import PACKAGES
from pipeline.store.h5 import Arrays
from pipeline.store.items import ItemStore
from pipeline.store.spool import Spool
from pipeline.work.engine import deaths_error, run_all
from pipeline.work.processes import WorkerDied
from pipeline.work.progress import Progress

# A client of NFS may believe for so long that a file is not there, which a cluster's worker has written.
UNSEEN_AT_MOST_S = 60.0
# Of the utterances that lack a modality, so many are named.
SHOWN = 5
REASONS_SHOWN = 10


@dataclass(frozen=True)
class Item:
    """One dialogue of one stage: what to do, and the key under which the result is kept."""

    key: str
    dialogue: str
    utterances: int
    work: Any
    """What the stage's function gets: paths, texts and numbers, small enough to send to a worker."""


def extract(
    stage: str,
    items: Sequence[Item],
    function: Callable[[Any], Arrays],
    *,
    workers: int,
    libraries: Sequence[str] = (),
    stand_in: Callable[[Item, str], Arrays] | None = None,
) -> Iterator[Arrays]:
    """The arrays of every item, in order, computing those that the store does not hold.

    ``function`` maps an item's work to its arrays; it runs in a worker process and must depend on
    nothing but that work, so that neither neighbours nor the number of workers change a result.  A cluster's
    workers must have ``libraries`` in the versions that are here.

    An item whose worker dies is tried once more, alone.  If its worker dies again, that says nothing of
    its data: once all others are stored, UserError names it, and the next run tries it again.  Where
    failures are accepted, ``stand_in`` maps it and the reason to arrays, which the store does not get.
    """
    accept_failures = runtime.accept_failures()
    store = ItemStore(runtime.store_root(), stage)
    absent = [item for item in items if store.get(item.key) is None]
    # Dialogues with the same content have one key; those of which no clip is there can be many.
    pending = {item.key: item for item in absent}
    alike = len(absent) - len(pending)
    print(
        f"{stage}: {len(pending)} of {len(items)} dialogues to do, {len(items) - len(absent)} stored"
        + (f", {alike} the same as another" if alike else ""),
        flush=True,
    )
    waiting = set(pending)
    deaths: dict[str, WorkerDied] = {}
    computing = _compute(stage, list(pending.values()), function, store, workers, libraries)
    for item in items:
        # What is done is handed on while the rest is computed.
        while item.key in waiting:
            ended, death = next(computing)
            waiting.discard(ended.key)
            if death is not None:
                deaths[ended.key] = death
            if not waiting:
                next(computing, None)  # ends the workers
        if item.key not in deaths:
            yield wait_for_item(item.key, store)
        elif accept_failures and stand_in is not None:
            yield stand_in(item, f"worker died twice: {deaths[item.key]}")
        else:
            deaths |= {ended.key: death for ended, death in computing if death is not None}
            raise deaths_error("dialogues", {i.dialogue: deaths[i.key] for i in items if i.key in deaths})


def wait_for_item(key: str, store: ItemStore) -> Arrays:
    """The arrays of an item that is done, which a network's file system may show late."""
    end = time.monotonic() + UNSEEN_AT_MOST_S
    while (arrays := store.get(key)) is None:
        if time.monotonic() > end:
            raise UserError(
                f"item store: {store.path(key)} vanished or was damaged during the run; run dvc repro again"
            )
        time.sleep(0.5)
    return arrays


def _compute(
    stage: str,
    items: Sequence[Item],
    function: Callable[[Any], Arrays],
    store: ItemStore,
    workers: int,
    libraries: Sequence[str],
) -> Iterator[tuple[Item, WorkerDied | None]]:
    """Compute and store all items; each as it ends, with its worker's second death."""
    task = partial(_compute_and_store, function=function, store=store)
    needed = {"modules": modules_of(function), "libraries": libraries}
    # Longest first, so that no worker is left alone with a long dialogue at the end.
    queue = sorted(items, key=lambda item: item.utterances, reverse=True)
    utterances = sum(item.utterances for item in items)
    with Progress(stage, dialogues=len(items), utterances=utterances) as progress:

        def say(item: Item, death: WorkerDied) -> None:
            progress.say(f"a worker died at {item.dialogue} ({death}); it will be tried again alone")

        for item, _, death in run_all(task, queue, workers=workers, **needed, on_death=say):
            progress.advance(dialogues=1, utterances=item.utterances)
            yield item, death


def modules_of(function: Callable[[Any], Arrays]) -> list[str]:
    """Modules of a function and of what is bound to it: its code and that of the kinds that it uses."""
    if not isinstance(function, partial):
        return [function.__module__]
    bound = {type(each).__module__ for each in (*function.args, *function.keywords.values())}
    ours = {name for name in bound if name.partition(".")[0] in PACKAGES}
    return sorted({function.func.__module__} | ours)


def _compute_and_store(item: Item, function: Callable[[Any], Arrays], store: ItemStore) -> None:
    try:
        store.put(item.key, function(item.work))
    except Exception as error:
        error.add_note(f"while at dialogue {item.dialogue}")
        raise


def stack_on_disk(parts: Iterable[Arrays], empty: Arrays, folder: Path) -> dict[str, np.ndarray | Spool]:
    """What ``stack`` gives, of any number of parts: vectors lie in ``folder``, the rest in memory."""
    spools = {name: Spool(folder, array) for name, array in empty.items() if array.ndim > 1}

    def others() -> Iterator[Arrays]:
        for part in parts:
            for name, spool in spools.items():
                spool.append(part[name])
            yield part

    values = {name: array for name, array in empty.items() if name not in spools}
    return {**stack(others(), values), **spools}


def summarise(stage: str, modality: str, ids: Sequence[str], reasons: np.ndarray, limit: float) -> None:
    """Print what was not observed and why; UserError if its share exceeds ``max_unobserved``.

    ``ids`` and ``reasons`` have an element per utterance; a reason is empty where the modality was observed.
    """
    missing = Counter(reasons[reasons != ""].tolist())
    count, total = missing.total(), len(reasons)
    why = "; ".join(f"{number} {reason}" for reason, number in missing.most_common(REASONS_SHOWN))
    if (more := len(missing) - REASONS_SHOWN) > 0:
        why += f"; and {more} other reasons"
    print(
        f"{stage}: {total - count} of {total} utterances observed" + (f" (not: {why})" if why else ""),
        flush=True,
    )
    if count > limit * total:
        first = ", ".join(ids[row] for row in np.flatnonzero(reasons != "")[:SHOWN])
        raise UserError(
            f"{count} of {total} utterances lack {modality} ({count / total:.1%}), more than"
            f" max_unobserved.{modality}: {limit} allows; mend the corpus or raise the limit. Reasons: {why}."
            f" Utterances: {first}{', ...' if count > SHOWN else ''}"
        )
