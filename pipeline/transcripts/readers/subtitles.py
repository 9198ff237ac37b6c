"""SubRip and WebVTT, whoever wrote them: cues of two times, joined by ``-->``, and lines of text.

The line before a cue's times, after a blank one, is its number or id.  Blank lines within a cue belong to it;
NOTE, STYLE and REGION blocks of WebVTT do not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from pipeline.corpora.annotations.rows import Mistakes
from pipeline.errors import UserError
from pipeline.transcripts.content import (
    Mark,
    Tier,
    Transcript,
    check_count,
    clean,
    clock,
    milliseconds,
)
from pipeline.transcripts.cue_text import Turn, accepted_names, plain_text, turns_of
from pipeline.transcripts.files import decode
from pipeline.transcripts.reading import How
from pipeline.transcripts.speakers import of_one_file

SUFFIXES = (".srt", ".vtt")
ARROW = "-->"
ROLLING_FROM = 6
"""With fewer cues than these a text said twice is just that."""
DOUBTFUL_SHOWN = 5

_TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
_TIMES = re.compile(rf"\s*{_TIME}\s*{ARROW}\s*{_TIME}(?:\s.*)?", re.ASCII | re.DOTALL)
_NO_CUE = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")


class _Cue(NamedTuple):
    line: int
    start_ms: int
    end_ms: int
    text: str


def looks_like(head: str) -> bool:
    """Whether a file that begins so is of this format."""
    return head.startswith("WEBVTT") or ARROW in head


def read(path: Path, content: bytes, how: How, mistakes: Mistakes) -> Transcript:
    """All cues as one tier; a cue of several speakers gives several marks of the same time."""
    lines = decode(content, how.encoding).split("\n")
    vtt = lines[0].startswith("WEBVTT")
    cues = list(_cues(path, lines, vtt, mistakes))
    if not cues:
        raise UserError(f"holds no cue: no line of two times joined by {ARROW}")
    _check_rolling(cues, vtt)
    names, doubtful = accepted_names((cue.text for cue in cues), how.known_speakers, vtt)
    notes: Counter[str] = Counter()
    if doubtful:
        shown = ", ".join(map(repr, doubtful[:DOUBTFUL_SHOWN]))
        notes[f"beginnings that may be a speaker's name, and were read as text ({shown})"] = len(doubtful)
    marks: list[Mark] = []
    for number, cue in enumerate(cues, 1):
        with mistakes.at(f"{path}, line {cue.line}, cue {number}"):
            turns = turns_of(cue.text, names, vtt) or [Turn("", "")]
            notes["cues of several speakers, which were split"] += len(turns) > 1
            place = f"line {cue.line}, cue {number}, {clock(cue.start_ms)}"
            for turn in turns:
                speaker = of_one_file(path, clean(turn.speaker))
                marks.append(Mark(cue.start_ms, cue.end_ms, clean(turn.text), place, speaker))
    return Transcript(path, (Tier("", tuple(marks)),), tiered=False, notes=+notes)


def _cues(path: Path, lines: Sequence[str], vtt: bool, mistakes: Mistakes) -> Iterator[_Cue]:
    skipped = _in_blocks(lines) if vtt else set()
    starts = [number for number, line in enumerate(lines) if ARROW in line and number not in skipped]
    check_count(len(starts))
    heads = [_head(lines, start, vtt, before) for before, start in zip([-1, *starts], starts, strict=False)]
    for start, end in zip(starts, [*heads[1:], len(lines)], strict=False):
        body = lines[start + 1 : end]
        if vtt:
            body = list(_without_blocks(body))
        with mistakes.at(f"{path}, line {start + 1}"):
            found = _TIMES.fullmatch(lines[start])
            if not found:
                raise UserError(f"{lines[start].strip()[:60]!r} is no line of two times")
            yield _Cue(start + 1, _ms(found.groups()[:4]), _ms(found.groups()[4:]), "\n".join(body).strip())


def _head(lines: Sequence[str], start: int, vtt: bool, before: int) -> int:
    """Where a cue begins: at its number or id, or at its times."""
    above = start - 1
    if above <= before or not lines[above].strip():
        return start
    after_blank = above - 1 <= before or not lines[above - 1].strip()
    if vtt:
        return above if after_blank and above else start
    number, last = _number(lines[above]), _number(lines[before - 1] if before > 0 else "")
    is_next = number is not None and last is not None and number == last + 1
    return above if number is not None and (after_blank or is_next) else start


def _number(line: str) -> int | None:
    """A line that is the number of a cue."""
    found = line.strip()
    return int(found) if found.isdecimal() and len(found) < 9 else None


def _in_blocks(lines: Sequence[str]) -> set[int]:
    """Lines that are part of a NOTE, STYLE or REGION of WebVTT; a NOTE may quote times."""
    found, inside, blank = set(), False, True
    for number, line in enumerate(lines):
        inside = bool(line.strip()) and (inside or (blank and bool(_NO_CUE.match(line))))
        blank = not line.strip()
        if inside:
            found.add(number)
    return found


def _without_blocks(body: Sequence[str]) -> Iterator[str]:
    """The lines of a cue without the blocks that follow it."""
    skipping, blank = False, False
    for line in body:
        if not line.strip():
            skipping, blank = False, True
        elif blank and _NO_CUE.match(line):
            skipping = True
        if not skipping:
            blank = not line.strip()
            yield line


def _ms(parts: Sequence[str | None]) -> int:
    hours, minutes, seconds, fraction = parts
    if int(minutes or 0) > 59 or int(seconds or 0) > 59:
        raise UserError(f"{minutes}:{seconds} is no time: a minute has 60 seconds")
    whole = 3600 * int(hours or 0) + 60 * int(minutes or 0) + int(seconds or 0)
    return milliseconds(whole) + int((fraction or "0").ljust(3, "0"))


def _check_rolling(cues: Sequence[_Cue], vtt: bool) -> None:
    """UserError for captions that roll up, in which everything is said twice or more."""
    said = [plain_text(cue.text, vtt).split("\n") for cue in cues]
    repeats = sum(
        " " in before[-1].strip() and after[0].strip() == before[-1].strip()
        for before, after in pairwise(said)
    )
    if len(cues) >= ROLLING_FROM and repeats > len(cues) / 3:
        raise UserError(
            f"{repeats} of {len(cues)} cues begin with the text of the one before: captions that roll up, as"
            " YouTube makes them, say everything twice; download them in another form (json3, or srv3 by"
            " yt-dlp), or transcribe the film"
        )
