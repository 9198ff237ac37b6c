"""The MultiEMO authors' code: ``Data/<CORPUS>/`` with four pickles.

``Speakers.pkl`` holds the conversations' tuple of ``shared.conversations`` without vectors, and
``TextFeatures.pkl``, ``AudioFeatures.pkl`` and ``VisualFeatures.pkl`` a dict of vectors each.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.exports.shared.content import is_iemocap, is_meld, require_modalities, width_notes
from pipeline.exports.shared.conversations import by_dialogue, conversations
from pipeline.exports.shared.file_names import file_name
from pipeline.exports.shared.pickles import write_pickle
from pipeline.features.content import Features

HOLDS_UNLABELLED = False

WIDTHS = {"text": 768, "audio": 512, "visual": 1000}
"""Dimensions that the authors' code is written for."""


def write(folder: Path, features: Features) -> list[str]:
    """Write ``Speakers.pkl`` and one dict of vectors for each modality."""
    vectors = require_modalities(features, "multiemo")
    corpus = (
        "IEMOCAP" if is_iemocap(features) else "MELD" if is_meld(features) else file_name(features.corpus)
    )
    # The authors' loader takes the vectors from files of their own, and not from the tuple.
    nothing = np.empty((len(features), 0), np.float32)
    content: dict[str, Any] = {"Speakers.pkl": conversations(features, [nothing] * len(vectors))}
    for name, rows in vectors.items():
        content[f"{name.capitalize()}Features.pkl"] = by_dialogue(features, list(rows))
    paths = [Path("Data", corpus, name) for name in content]
    for path, value in zip(paths, content.values(), strict=True):
        write_pickle(folder / path, value)
    return [str(path) for path in paths]


def notes(features: Features) -> Iterator[str]:
    """Modalities of other widths.  The authors shuffle before they take their share for validation."""
    return width_notes(features, WIDTHS, "the authors' code")
