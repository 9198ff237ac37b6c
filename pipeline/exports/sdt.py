"""SDT: ``meld_multimodal_features.pkl``, or for IEMOCAP ``iemocap_multimodal_features.pkl``.

The tuple of ``shared.conversations`` with three more items after text, in which SDT's own files have other
layers of RoBERTa.  SDT reads and does not use them; here they are the same text again.
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

OTHER_LAYERS = 3

WIDTHS = {"text": 1024, "audio": 300, "visual": 342}
IEMOCAP_WIDTHS = WIDTHS | {"audio": 1582}
"""``D_text`` and ``feat2dim`` of its ``train.py``."""


def write(folder: Path, features: Features) -> list[str]:
    """Write the file of IEMOCAP (12 items) or, for every other corpus, that of MELD (13)."""
    vectors = require_modalities(features, "sdt")
    name = "iemocap" if is_iemocap(features) else "meld"
    path = folder / f"{name}_multimodal_features.pkl"
    columns = [vectors[modality] for modality in MODALITIES]
    ids, speakers, labels, text, *others = conversations(features, columns)
    # One dict, which the pickle holds once.
    write_pickle(path, (ids, speakers, labels, text, *[text] * OTHER_LAYERS, *others))
    return [path.name]


def notes(features: Features) -> Iterator[str]:
    """Where the validation split is, and modalities of other widths."""
    return peer_notes(features, WIDTHS, IEMOCAP_WIDTHS, "SDT's code")
