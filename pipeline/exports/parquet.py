"""Data frames: ``train.parquet``, ``dev.parquet``, ``test.parquet``.

``shared.table`` describes the columns.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.exports.shared.table import require_package, split_table
from pipeline.features.content import SPLITS, Features

HOLDS_UNLABELLED = True


def write(folder: Path, features: Features) -> list[str]:
    """Write a file for each split, the provenance in its metadata."""
    require_package("pyarrow")
    import pyarrow.parquet

    folder.mkdir(parents=True, exist_ok=True)
    names = {split: f"{split}.parquet" for split in SPLITS}
    for split, name in names.items():
        pyarrow.parquet.write_table(split_table(features, split), folder / name)
    return [*names.values()]
