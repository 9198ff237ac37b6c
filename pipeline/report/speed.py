"""``data/models/<model>/speed.csv``: how fast each seed was trained.

No result, and unknown to DVC: it differs from run to run, and results must not.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

from pipeline.store.atomic import write_csv

COLUMNS = ("seed", "device", "seconds_per_epoch")


def write_speed(path: Path, device: str, seconds_per_epoch: Mapping[int, float]) -> None:
    """Write the file; ``seconds_per_epoch`` by seed."""
    rows = [(seed, device, f"{seconds:.3g}") for seed, seconds in seconds_per_epoch.items()]
    write_csv(path, COLUMNS, rows)


def read_speed(path: Path) -> float | None:
    """Seconds per epoch, mean over seeds; None where it is not known, as of a model that was pulled."""
    if not path.exists():
        return None
    with path.open(newline="", encoding="utf-8") as file:
        seconds = [float(row["seconds_per_epoch"]) for row in csv.DictReader(file)]
    return fmean(seconds) if seconds else None
