"""MMSA, as MMSA-FET writes: ``feature.pkl``.

A dict by split of columns.  Features are sequences [N, T, D] there; ours are of whole utterances, so T
is 1.  There are no ``text_bert`` tokens in a feature file, so models are to be run with ``use_bert`` off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.exports.shared.content import require_modalities
from pipeline.exports.shared.pickles import write_pickle
from pipeline.features.content import Features

HOLDS_UNLABELLED = False

MODES = {"train": "train", "valid": "dev", "test": "test"}
"""MMSA's name of each split."""


def write(folder: Path, features: Features) -> list[str]:
    """Write ``feature.pkl``, with the number of the class as the label to regress."""
    vectors = require_modalities(features, "mmsa")
    content: dict[str, Any] = {}
    for mode, split in MODES.items():
        rows = np.flatnonzero(features.split == split)
        label = features.label[rows]
        content[mode] = {
            "id": features.id[rows].tolist(),
            "raw_text": features.text[rows].tolist(),
            "text": vectors["text"][rows, None],
            "audio": vectors["audio"][rows, None],
            "vision": vectors["visual"][rows, None],
            "audio_lengths": [1] * len(rows),
            "vision_lengths": [1] * len(rows),
            "annotations": [features.label_names[number] for number in label],
            "classification_labels": label.tolist(),
            "regression_labels": label.astype(np.float32),
        }
    content["config"] = {
        "corpus": features.corpus,
        "labels": list(features.label_names),
        "encoders": features.provenance.get("encoders", {}),
    }
    write_pickle(folder / "feature.pkl", content)
    return ["feature.pkl"]
