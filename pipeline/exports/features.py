"""A feature file again, such as one without names or words: ``features.h5``."""

from __future__ import annotations

from pathlib import Path

from pipeline.features.content import Features
from pipeline.features.file import write_features

HOLDS_UNLABELLED = True


def write(folder: Path, features: Features) -> list[str]:
    """Write the file."""
    folder.mkdir(parents=True, exist_ok=True)
    write_features(folder / "features.h5", features)
    return ["features.h5"]


def notes(features: Features) -> list[str]:
    """That it is personal data, whatever was taken out of it."""
    lines = [
        "it is still personal data, of the people whose voices, faces or words it describes: docs/privacy.md"
    ]
    if "text" in features.modalities:
        lines.append("text vectors may give words and names back: --drop text leaves them out")
    return lines
