"""MMGCN, MM-DFN: ``MELD_features_raw1.pkl``, or for IEMOCAP ``IEMOCAP_features.pkl``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.exports.shared.content import is_iemocap, require_modalities
from pipeline.exports.shared.conversations import conversations, peer_notes
from pipeline.exports.shared.pickles import write_pickle
from pipeline.features.content import Features
from pipeline.params import MODALITIES

HOLDS_UNLABELLED = False

WIDTHS = {"text": 600, "audio": 300, "visual": 342}
IEMOCAP_WIDTHS = {"text": 100, "audio": 1582, "visual": 342}
"""``feat2dim`` of its ``train.py``."""


def write(folder: Path, features: Features) -> list[str]:
    """Write ``IEMOCAP_features.pkl`` or, for every other corpus, ``MELD_features_raw1.pkl``."""
    vectors = require_modalities(features, "mmgcn")
    path = folder / ("IEMOCAP_features.pkl" if is_iemocap(features) else "MELD_features_raw1.pkl")
    write_pickle(path, conversations(features, [vectors[name] for name in MODALITIES]))
    return [path.name]


def notes(features: Features) -> Iterator[str]:
    """Where the validation split is, and modalities of other widths."""
    return peer_notes(features, WIDTHS, IEMOCAP_WIDTHS, "MMGCN's code")
