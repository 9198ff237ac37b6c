"""The manifest of a corpus: two tables, one row per utterance each, in the same order.

``utterances.csv`` says who says what in which order, with label and split; text stages depend on it
alone.  ``media.csv`` says where each utterance's frames and sound are and what they contain; face
and audio stages depend on it alone.  So a corrected label touches no video, and a replaced clip no
text.  Both are UTF-8 with a header, comma-separated, and byte-identical for identical input.
"""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import reading_output
from pipeline.store.atomic import write_csv, write_text


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
    """One row of media.csv: where an utterance's frames and sound are, and what was found there."""

    id: str
    """The utterance."""
    dialogue: str
    """The utterance's dialogue."""
    path: str
    """File of the video, relative to the corpus root, with forward slashes."""
    start_s: float | None = None
    """Start of the utterance in that file; empty for the whole file."""
    end_s: float | None = None
    """End of the utterance in that file; empty for the whole file."""
    crop: str = ""
    """Part of the image that shows the speaker: empty for all of it, ``left``, ``right``, or left,
    top, right and bottom as fractions of width and height (``0.5 0 1 1``)."""
    audio_path: str = ""
    """File of the utterance's sound alone; empty where the sound is in ``path``, over the same span."""
    sha256: str = ""
    """Digest of the file at ``path``; empty if there is none."""
    audio_sha256: str = ""
    """Digest of the file at ``audio_path``; empty if there is none."""
    duration_s: float = 0.0
    """Length of the file at ``path``, measured; 0 where that has no time stamps."""
    frame_count: int = 0
    """Frames in the file; 0 without a video stream."""
    frame_rate_hz: float = 0.0
    """Average rate; 0 without a video stream."""
    width_px: int = 0
    height_px: int = 0
    sample_rate_hz: int = 0
    """Of the sound; 0 without an audio stream."""
    channels: int = 0
    """Of the sound; 0 without an audio stream."""
    image_track: str = ""
    """Which of the video streams is used, such as ``1 of 2``: the container's default; empty without one."""
    audio_track: str = ""
    """Which of the audio streams is used; empty without one."""
    image_problem: str = ""
    """Why its images cannot be used; empty if it can."""
    audio_problem: str = ""
    """Why the sound cannot be used; empty if it can."""


Row = TypeVar("Row", Utterance, Medium)


def write_table(path: Path, rows: Sequence[Row], kind: type[Row]) -> None:
    """Write rows of one kind as CSV."""
    columns = [field.name for field in dataclasses.fields(kind)]
    write_csv(path, columns, map(attrgetter(*columns), rows))  # dataclasses.astuple() copies every cell


def read_utterances(path: Path) -> list[Utterance]:
    """Rows of an utterances.csv that ``write_table`` wrote."""
    return _read_table(path, Utterance)


def read_media(path: Path) -> list[Medium]:
    """Rows of a media.csv that ``write_table`` wrote."""
    return _read_table(path, Medium)


def write_labels(path: Path, names: Sequence[str]) -> None:
    """Write the corpus's emotions, in the order in which features and models number them."""
    write_text(path, json.dumps(list(names), ensure_ascii=False) + "\n")


def read_labels(path: Path) -> tuple[str, ...]:
    """The emotions of a labels.json that ``write_labels`` wrote."""
    with reading_output(path):
        return tuple(json.loads(path.read_text(encoding="utf-8")))


def by_dialogue(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows grouped by dialogue, both in the manifest's order."""
    return {dialogue: list(group) for dialogue, group in groupby(rows, key=lambda row: row.dialogue)}


def _read_table(path: Path, kind: type[Row]) -> list[Row]:
    with reading_output(path), path.open(encoding="utf-8", newline="") as file:
        return [_parse(row, kind) for row in csv.DictReader(file)]


def _parse(row: dict[str, Any], kind: type[Row]) -> Row:
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(**{name: _CASTS.get(name, str)(row[name]) for name in names})


def _seconds(cell: str) -> float | None:
    return float(cell) if cell else None


# What is not text.
_CASTS: dict[str, Callable[[str], Any]] = {
    "position": int,
    "start_s": _seconds,
    "end_s": _seconds,
    "duration_s": float,
    "frame_count": int,
    "frame_rate_hz": float,
    "width_px": int,
    "height_px": int,
    "sample_rate_hz": int,
    "channels": int,
}
