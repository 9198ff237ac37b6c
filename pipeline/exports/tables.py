"""Tables of utterances for data frames: a Parquet file for each split, or a Hugging Face data set.

One row for each utterance, in the feature file's order, labelled or not.  ``label`` is the emotion
in words, null where there is none (a class label in the data set).  ``<modality>_features`` is a list
of D float32, null where the modality was not observed; ``<modality>_reason`` says why.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import UserError
from pipeline.features.file import SPLITS, Features

if TYPE_CHECKING:
    import pyarrow

_TEXT_COLUMNS = ("id", "split", "dialogue", "speaker", "text")


def write_parquet(folder: Path, features: Features) -> list[str]:
    """``train.parquet``, ``dev.parquet`` and ``test.parquet``, the provenance in their metadata."""
    _require("pyarrow")
    import pyarrow.parquet

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for split in SPLITS:
        pyarrow.parquet.write_table(_table(features, split), folder / f"{split}.parquet")
        written.append(f"{split}.parquet")
    return written


def write_datasets(folder: Path, features: Features) -> list[str]:
    """A folder for ``datasets.load_from_disk``; splits are named train, validation and test."""
    _require("datasets")
    import datasets

    datasets.disable_progress_bars()
    label = datasets.ClassLabel(names=list(features.label_names))
    parts = {}
    for split in SPLITS:
        part = datasets.Dataset(_table(features, split).replace_schema_metadata(None))
        parts["validation" if split == "dev" else split] = part.cast_column("label", label)
    datasets.DatasetDict(parts).save_to_disk(folder)
    return ["a data set for datasets.load_from_disk"]


def _table(features: Features, split: str) -> pyarrow.Table:
    import pyarrow

    rows = np.flatnonzero(features.split == split)
    names = np.array([*features.label_names, None], dtype=object)  # the last for label -1
    columns: dict[str, Any] = {
        name: pyarrow.array(getattr(features, name)[rows].tolist(), pyarrow.string())
        for name in _TEXT_COLUMNS
    }
    columns["position"] = pyarrow.array(features.position[rows])
    columns["label"] = pyarrow.array(names[features.label[rows]].tolist(), pyarrow.string())
    for name in ("start_s", "end_s"):
        columns[name] = pyarrow.array(getattr(features, name)[rows], from_pandas=True)  # NaN is null
    for name, modality in features.modalities.items():
        vectors, observed = modality.features[rows], modality.observed[rows]
        columns[f"{name}_features"] = pyarrow.FixedSizeListArray.from_arrays(
            pyarrow.array(vectors.ravel()), vectors.shape[1], mask=pyarrow.array(~observed)
        )
        columns[f"{name}_reason"] = pyarrow.array(modality.reason[rows].tolist(), pyarrow.string())
    metadata = {
        "corpus": features.corpus,
        "labels": json.dumps(features.label_names, ensure_ascii=False),
        "provenance": json.dumps(features.provenance, sort_keys=True, ensure_ascii=False),
        "features_sha256": features.digest,
    }
    return pyarrow.table(columns, metadata=metadata)


def _require(package: str) -> None:
    try:
        __import__(package)
    except ImportError:
        raise UserError(
            f"this layout needs the package {package}, which is not installed: pip install datasets"
        ) from None
