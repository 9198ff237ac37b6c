"""A table of a split's utterances, for data frames and Hugging Face data sets.

One row for each utterance, in the feature file's order, labelled or not.  ``label`` is the emotion
in words, null where there is none.  ``<modality>_features`` is a list
of D float32, null where the modality was not observed; ``<modality>_reason`` says why.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import UserError
from pipeline.features.content import Features

if TYPE_CHECKING:
    import pyarrow

_TEXT_COLUMNS = ("id", "split", "dialogue", "speaker", "text")


def split_table(features: Features, split: str) -> pyarrow.Table:
    """The table, with corpus, labels, provenance and the features' digest as its metadata."""
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


def require_package(package: str) -> None:
    """UserError if a package that only some exports need is not installed."""
    try:
        __import__(package)
    except ImportError:
        raise UserError(
            f"this export needs the package {package}, which is not installed: pip install datasets"
        ) from None
