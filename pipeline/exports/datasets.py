"""Hugging Face ``datasets``: a folder for ``load_from_disk``.

``shared.table`` describes the columns; ``label`` is a class label here.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.exports.shared.table import require_package, split_table
from pipeline.features.content import SPLITS, Features

HOLDS_UNLABELLED = True


def write(folder: Path, features: Features) -> list[str]:
    """Write a data set whose splits are named train, validation and test."""
    require_package("datasets")
    import datasets

    datasets.disable_progress_bars()
    label = datasets.ClassLabel(names=list(features.label_names))
    parts = {}
    for split in SPLITS:
        part = datasets.Dataset(split_table(features, split).replace_schema_metadata(None))
        parts["validation" if split == "dev" else split] = part.cast_column("label", label)
    datasets.DatasetDict(parts).save_to_disk(folder)
    return ["a data set for datasets.load_from_disk"]
