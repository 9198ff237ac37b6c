"""What the machinery costs over calling an extractor in a plain loop: a ratio, for items of 100 ms.

    python -m benchmarks.overhead

Limit: 3 %.  An item keeps the processor busy for exactly 100 ms and gives ten utterances of 6,373
features, a dialogue's sound.  One worker, so that the two differ by the machinery alone; what a run
pays once, for the start of a process and its first item, is told apart.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from pipeline.store.h5 import Arrays
from pipeline.work.extraction import Item, extract, stack_on_disk

ITEMS, ITEM_S, ROUNDS = 100, 0.1, 5
# With so many items a process is under way.
FIRST = 2
EMPTY = {"features": np.empty((0, 6373), np.float32), "reason": np.empty(0, str)}


def work(seed: int) -> Arrays:
    end = time.perf_counter() + ITEM_S
    values = np.random.default_rng(seed).random((10, 6373), np.float32)
    while time.perf_counter() < end:
        np.sqrt(values[:1], out=values[:1])
    return {"features": values, "reason": np.array([""] * 10)}


def items(numbers: range) -> list[Item]:
    return [Item(key=f"{n:064x}", dialogue=f"d{n}", utterances=10, work=n) for n in numbers]


def run_plain(count: int) -> float:
    started = time.perf_counter()
    for number in range(count):
        work(number)
    return time.perf_counter() - started


def run_machinery(count: int) -> float:
    """From nothing in the store to all arrays put together, as in a stage."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MULTIEMO_STORE"] = folder
        started = time.perf_counter()
        stack_on_disk(extract("bench", items(range(count)), work, workers=1), EMPTY, Path(folder))
        return time.perf_counter() - started


def main() -> None:
    overheads, starts_s = [], []
    for _ in range(ROUNDS):
        plain_s = run_plain(ITEMS)
        first_s, all_s = run_machinery(FIRST), run_machinery(FIRST + ITEMS)
        overheads.append((all_s - first_s) / plain_s - 1)
        starts_s.append(first_s - FIRST * ITEM_S)
    print(f"overhead over a plain loop, items of 100 ms: {statistics.median(overheads):.1%}", end=" ")
    print(f"(rounds: {', '.join(f'{overhead:.1%}' for overhead in overheads)}; limit 3 %)")
    print(f"start of the process, once per run: {statistics.median(starts_s):.2f} s")


if __name__ == "__main__":
    from benchmarks import overhead  # under whose name workers find its functions

    overhead.main()
