"""DialogueRNN and its kin: ``MELD_features_raw.pkl``, or for IEMOCAP ``IEMOCAP_features[_raw].pkl``.

DialogueRNN, bc-LSTM and TL-ERC open ``IEMOCAP_features_raw.pkl``; DialogueGCN and COGMEN
``IEMOCAP_features.pkl``.  On MELD they read text and sound only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.exports.shared.content import is_iemocap, require_modalities
from pipeline.exports.shared.conversations import conversations, peer_notes
from pipeline.exports.shared.pickles import write_pickle
from pipeline.features.content import Features
from pipeline.params import MODALITIES

HOLDS_UNLABELLED = False

IEMOCAP_FILES = ("IEMOCAP_features.pkl", "IEMOCAP_features_raw.pkl")
MELD_FILE = "MELD_features_raw.pkl"

WIDTHS = {"text": 600, "audio": 300}
IEMOCAP_WIDTHS = {"text": 100}
"""``D_m`` of DialogueRNN's ``train_MELD.py`` and ``train_IEMOCAP.py``, which trains on text alone."""


def write(folder: Path, features: Features) -> list[str]:
    """Write the two files of IEMOCAP (9 items) or, for every other corpus, that of MELD (9 others).

    MELD's ninth item is for sentiment labels, which a feature file has not; training with seven classes
    does not read it.
    """
    needed = MODALITIES if is_iemocap(features) else ("text", "audio")
    vectors = require_modalities(features, "dialoguernn", needed)
    names = IEMOCAP_FILES if is_iemocap(features) else (MELD_FILE,)
    content = conversations(features, [vectors[name] for name in needed])
    for name in names:
        write_pickle(folder / name, content)
    return [*names]


def notes(features: Features) -> Iterator[str]:
    """Where the validation split is, and modalities of other widths."""
    return peer_notes(features, WIDTHS, IEMOCAP_WIDTHS, "DialogueRNN's code")
