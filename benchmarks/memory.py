"""Peak memory of a stage over 200 and over 2,000 synthetic dialogues, parent and workers: ratios.

    python -m benchmarks.memory

Limit: 1.3.  A dialogue's result is ten utterances of 1,000 features, the size of the visual ones, or of
6,373, that of the sound's.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.store.h5 import Arrays, write_h5
from pipeline.work.extraction import Item, extract, stack_on_disk
from pipeline.work.stagefile import no_vectors

DIALOGUES = (200, 2000)
DIMENSIONS = {"visual": 1000, "audio": 6373}


def work(seed: int, dimension: int) -> Arrays:
    values = np.random.default_rng(seed).random((10, dimension), np.float32)
    return {"features": values, "reason": np.array([""] * 10)}


def run_stage(dialogues: int, dimension: int) -> None:
    """What a stage does, from its items to its packed file; prints the peaks of parent and workers, in MB."""
    items = [Item(key=f"{n:064x}", dialogue=f"d{n}", utterances=10, work=n) for n in range(dialogues)]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MULTIEMO_STORE"] = folder
        parts = extract("bench", items, partial(work, dimension=dimension), workers=2)
        write_h5(Path(folder, "packed.h5"), stack_on_disk(parts, no_vectors(dimension), Path(folder)), {})
    peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps([peak / 1000 for peak in peaks]))


def main() -> None:
    for name, dimension in DIMENSIONS.items():
        peaks_mb = []
        for dialogues in DIALOGUES:
            command = [sys.executable, "-m", "benchmarks.memory", str(dialogues), str(dimension)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            peaks_mb.append(json.loads(printed.splitlines()[-1]))
        few, many = DIALOGUES
        for process, small_mb, large_mb in zip(("stage", "worker"), *peaks_mb, strict=True):
            print(
                f"{name}, {process}: {small_mb:.0f} MB over {few} dialogues, {large_mb:.0f} MB over {many}:"
                f" {large_mb / small_mb:.2f} times (limit 1.3)"
            )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run_stage(*map(int, sys.argv[1:]))
    else:
        main()
