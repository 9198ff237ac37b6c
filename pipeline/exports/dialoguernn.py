"""DialogueRNN and its kin on IEMOCAP: ``IEMOCAP_features.pkl``."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import UserError
from pipeline.exports.shared.content import is_iemocap, require_modalities
from pipeline.exports.shared.conversations import conversations
from pipeline.exports.shared.pickles import write_pickle
from pipeline.features.file import Features

UNLABELLED = False


def write(folder: Path, features: Features) -> list[str]:
    """Write ``IEMOCAP_features.pkl``, as DialogueRNN's data loader reads it; UserError for other corpora."""
    if not is_iemocap(features):
        raise UserError(
            f"the export dialoguernn is IEMOCAP's, whose speakers are M and F;"
            f" --to mmgcn takes {features.corpus}"
        )
    vectors = require_modalities(features, "dialoguernn")
    write_pickle(folder / "IEMOCAP_features.pkl", conversations(features, vectors))
    return ["IEMOCAP_features.pkl"]
