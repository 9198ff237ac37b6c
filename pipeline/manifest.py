"""The manifest of a corpus: two tables, one row per utterance each, in the same order.

``utterances.csv`` says who says what in which order, with label and split; text stages depend on it
alone.  ``media.csv`` says where each utterance's picture and sound are and what they contain; face
and sound stages depend on it alone.  So a corrected label touches no video, and a replaced clip no
text.  Both are UTF-8 with a header, comma-separated, and byte-identical for identical input.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import UserError


@dataclass(frozen=True)
class Utterance:
    """One row of utterances.csv."""

    id: str
    """Unique in the corpus: ``<split>_dia<D>_utt<U>`` for MELD."""
    split: str
    """train, dev or test."""
    dialogue: str
    """Unique in the corpus."""
    position: int
    """Place in the dialogue, from 0, without gaps."""
    speaker: str
    """As annotated; empty if unknown."""
    label: str
    """Emotion; empty if unlabelled."""
    text: str
    """What is said."""


@dataclass(frozen=True)
class Medium:
    """One row of media.csv: the file of an utterance, as found on disk."""

    id: str
    """The utterance."""
    dialogue: str
    """The utterance's dialogue."""
    path: str
    """Relative to the corpus root, with forward slashes."""
    start_s: float | None = None
    """Start of the utterance in the file; empty for the whole file."""
    end_s: float | None = None
    """End of the utterance in the file; empty for the whole file."""
    sha256: str = ""
    """Digest of the file; empty if there is no file."""
    duration_s: float = 0.0
    """Length by the container."""
    frame_count: int = 0
    """Pictures in the file; 0 without a picture stream."""
    frame_rate_hz: float = 0.0
    """Average rate; 0 without a picture stream."""
    width_px: int = 0
    height_px: int = 0
    sample_rate_hz: int = 0
    """Of the sound; 0 without a sound stream."""
    channels: int = 0
    """Of the sound; 0 without a sound stream."""
    picture_problem: str = ""
    """Why the picture cannot be used; empty if it can."""
    sound_problem: str = ""
    """Why the sound cannot be used; empty if it can."""


Row = TypeVar("Row", Utterance, Medium)


def write_table(path: Path, rows: Sequence[Row], kind: type[Row]) -> None:
    """Write rows of one kind as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in dataclasses.fields(kind))
        writer.writerows(dataclasses.astuple(row) for row in rows)


def read_utterances(path: Path) -> list[Utterance]:
    """Rows of an utterances.csv that ``write_table`` wrote."""
    return _read_table(path, Utterance)


def read_media(path: Path) -> list[Medium]:
    """Rows of a media.csv that ``write_table`` wrote."""
    return _read_table(path, Medium)


def by_dialogue(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows grouped by dialogue, both in the manifest's order."""
    return {dialogue: list(group) for dialogue, group in groupby(rows, key=lambda row: row.dialogue)}


def _read_table(path: Path, kind: type[Row]) -> list[Row]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [_parse(row, kind) for row in csv.DictReader(file)]
    except FileNotFoundError:
        raise UserError(f"{path} not found: run dvc repro, which makes it") from None
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path}: not a table of this version ({error!r}): run dvc repro") from None


def _parse(row: dict[str, Any], kind: type[Row]) -> Row:
    return kind(
        **{field.name: _CASTS[str(field.type)](row[field.name]) for field in dataclasses.fields(kind)}
    )


_CASTS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "float | None": lambda text: float(text) if text else None,
}
