"""MMGCN, MM-DFN: ``MELD_features_raw1.pkl``, or for IEMOCAP ``IEMOCAP_features.pkl``."""

from __future__ import annotations

from pathlib import Path

from pipeline.exports.shared.content import is_iemocap, require_modalities
from pipeline.exports.shared.conversations import conversations
from pipeline.exports.shared.pickles import write_pickle
from pipeline.features.file import Features

UNLABELLED = False


def write(folder: Path, features: Features) -> list[str]:
    """Write ``IEMOCAP_features.pkl`` or, for every other corpus, ``MELD_features_raw1.pkl``."""
    vectors = require_modalities(features, "mmgcn")
    path = folder / ("IEMOCAP_features.pkl" if is_iemocap(features) else "MELD_features_raw1.pkl")
    write_pickle(path, conversations(features, vectors))
    return [path.name]
