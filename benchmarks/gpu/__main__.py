"""One part: ``python -m benchmarks.gpu PART FOLDER [--rehearse]``; ``table`` writes gpu.md and gpu.json."""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path

import torch

from benchmarks.gpu.figures import Figures, write_tables
from benchmarks.measure import machine

PARTS = ("chain", "pictures", "training", "text", "kinds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=[*PARTS, "failed", "table"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rehearse", action="store_true", help="small, and on the CPU")
    parser.add_argument("--part", dest="failed", default="")
    parser.add_argument("--status", default="")
    given = parser.parse_args()
    if given.part == "table":
        gpu = (
            torch.cuda.get_device_name()
            if torch.cuda.is_available()
            else "NO GPU: a rehearsal on the CPU, with little of everything; its times mean nothing"
        )
        return write_tables(given.folder, f"{gpu}; {machine()}")
    if given.part == "failed":
        words = "took too long" if given.status in ("124", "137") else f"failed (exit status {given.status})"
        return Figures(given.folder, given.failed).add("the rest of this part", words)
    os.environ["MULTIEMO_DEVICE"] = "cpu" if given.rehearse else "cuda"
    if given.rehearse:
        os.environ["MULTIEMO_WORKERS"] = "1"
    # Imported when its turn comes: one that cannot be must not stop another.
    part = importlib.import_module(f"benchmarks.gpu.{given.part}")
    part.main(Figures(given.folder, given.part), rehearse=given.rehearse)


if __name__ == "__main__":
    main()
