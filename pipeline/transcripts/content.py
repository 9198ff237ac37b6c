"""What a transcript holds, whatever tool wrote it: tiers of marks, and the media that it is of."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pipeline.corpora.annotations.cells import one_line
from pipeline.errors import UserError

LONGEST_S = 1e7
"""A hundred days: what is longer is no time of a recording."""

MOST_MARKS = 500_000
"""Of a file: the sounds of fourteen hours of talk, and some ten seconds of reading."""

NO_TEXT = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
"""Characters that are no text in any of the formats."""


class Mark(NamedTuple):
    """A stretch of time and what is written there: what somebody says, or a label."""

    start_ms: int
    end_ms: int | None
    """None where the file does not say; equal to the start of a point."""
    text: str
    place: str
    """Where in the file it is, for errors."""
    speaker: str = ""
    """Of formats without tiers."""
    id: str = ""
    parent: str = ""
    """Id of the mark of another tier that it belongs to."""


class Tier(NamedTuple):
    """Marks of one kind."""

    name: str
    """Unique in the file; empty in formats without tiers."""
    marks: tuple[Mark, ...]
    speaker: str = ""
    """By the name of the outermost tier; what follows an ``@`` in it says who it is."""
    participant: str = ""
    """What the file itself says of who it is; empty if nothing."""
    parent: str = ""
    """Name of the tier to whose marks these belong."""
    points: bool = False
    untimed: int = 0
    """Marks without times of their own, which share the time of their neighbours or parent."""


class MediaLink(NamedTuple):
    """A medium that a transcript names."""

    name: str
    """Its base name, without the folders of whoever wrote the file."""
    origin_ms: int = 0
    """Where in the medium the transcript's clock shows 0."""


class Transcript(NamedTuple):
    """Content of one file."""

    path: Path
    tiers: tuple[Tier, ...]
    tiered: bool
    """Whether utterances must be chosen among tiers; otherwise there is one, with all utterances."""
    media: tuple[MediaLink, ...] = ()
    notes: Mapping[str, int] = {}
    """What was read otherwise than it is written, in words, and how often."""


def check_count(marks: int) -> None:
    """UserError for more marks than a transcript has, before they take time and memory."""
    if marks > MOST_MARKS:
        raise UserError(f"holds more than {MOST_MARKS:,} annotations: is it one recording's transcript?")


def milliseconds(seconds: object) -> int:
    """A time in ms; UserError for what is no time.

    >>> milliseconds(1.2345), milliseconds("2")
    (1234, 2000)
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float | str):
        raise UserError(f"{seconds!r} is no time in seconds")
    try:
        value = float(seconds)
    except (ValueError, OverflowError):
        value = math.nan
    if not abs(value) <= LONGEST_S:
        raise UserError(f"{seconds!r} is no time in seconds")
    return round(1000 * value)


def clean(text: str) -> str:
    r"""Text as a table has it, on one line; UserError for characters that are no text.

    >>> clean(" Zoe\u0308  says\nno ") == "Zo\u00eb says no"
    True
    """
    if found := NO_TEXT.search(text):
        raise UserError(
            f"{text[:60]!r} holds U+{ord(found[0]):04X}, which is no text: the file is damaged, or in another"
            " encoding (--encoding)"
        )
    return one_line(text)


def clock(ms: int) -> str:
    """A time for people: ``0:01:02.500``.

    >>> clock(62500)
    '0:01:02.500'
    """
    sign, ms = "-" * (ms < 0), abs(ms)
    return f"{sign}{ms // 3_600_000}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"
