"""JSON of the Whisper family, in four shapes: by segments, transcription, chunks or speakers.

openai-whisper, the commands of faster-whisper, WhisperX and OpenAI's diarized_json write ``segments``;
whisper.cpp ``transcription``, in ms; insanely-fast-whisper ``chunks`` and perhaps ``speakers``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

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
from pipeline.transcripts.files import decode
from pipeline.transcripts.reading import How
from pipeline.transcripts.speakers import of_one_file

SUFFIXES = (".json",)
SHAPES = "segments, transcription, chunks or speakers, as the Whisper family writes them"


def looks_like(head: str) -> bool:
    """Whether a file that begins so is of this format."""
    return head.startswith(("{", "["))


def read(path: Path, content: bytes, how: How, mistakes: Mistakes) -> Transcript:
    """All segments as one tier; a segment of several speakers is cut where its words change speaker."""
    segments = _segments(_parse(decode(content, how.encoding)))
    check_count(len(segments))
    notes: Counter[str] = Counter()
    marks: list[Mark] = []
    for number, segment in enumerate(segments):
        with mistakes.at(f"{path}, segment {number}"):
            following = segments[number + 1] if number + 1 < len(segments) else None
            marks += _marks(path, number, segment, following, notes)
    if not segments:
        raise UserError("holds no segment")
    return Transcript(path, (Tier("", tuple(marks)),), tiered=False, notes=dict(notes))


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise UserError("not JSON of a transcript: nested too deep") from None
    except ValueError as error:
        hint = "; whisper.cpp writes a comma too many: delete it" if re.search(r",\s*[}\]]", text) else ""
        raise UserError(f"not JSON: {error}{hint}") from None


def _segments(parsed: Any) -> Sequence[Any]:
    """Segments with start and end in s, whatever the shape; UserError for none of the four."""
    if isinstance(parsed, dict):
        if isinstance(found := parsed.get("segments"), list):
            return found
        if isinstance(found := parsed.get("transcription"), list):
            return [_of_whisper_cpp(each) for each in found]
        for key in ("speakers", "chunks"):
            if isinstance(found := parsed.get(key), list) and found:
                return [_of_chunk(each) for each in found]
    raise UserError(f"holds none of {SHAPES}")


def _of_whisper_cpp(segment: Any) -> Any:
    offsets = segment.get("offsets") if isinstance(segment, dict) else None
    if not isinstance(offsets, dict):
        return segment
    times = {
        name: value / 1000 if isinstance(value := offsets.get(key), int) and abs(value) < 1e12 else value
        for name, key in (("start", "from"), ("end", "to"))
    }
    return segment | times


def _of_chunk(segment: Any) -> Any:
    times = segment.get("timestamp") if isinstance(segment, dict) else None
    if not isinstance(times, list) or len(times) != 2:
        return segment
    return segment | {"start": times[0], "end": times[1]}


def _marks(path: Path, number: int, segment: Any, following: Any, notes: Counter[str]) -> list[Mark]:
    """The utterances of a segment; UserError if it is none."""
    if not isinstance(segment, dict):
        raise UserError("is no object")
    text = segment.get("text")
    if not isinstance(text, str):
        raise UserError("has no text")
    start, end = milliseconds(segment.get("start")), _end(segment, following, notes)
    place = f"segment {number}, {clock(start)}"
    notes["segments whose speaker changes at their end, of whom nothing is known"] += bool(
        segment.get("speaker_turn_next")
    )
    parts = _by_speaker(segment, text, start, end)
    if len(parts) > 1:
        notes["segments of several speakers, which were cut"] += 1
    return [
        Mark(begun, ended, clean(said), place, speaker=_speaker(path, who))
        for who, said, begun, ended in parts
    ]


def _end(segment: dict[str, Any], following: Any, notes: Counter[str]) -> int | None:
    if segment.get("end") is not None:
        return milliseconds(segment["end"])
    notes["segments without an end, which last until the next one or the film's end"] += 1
    return milliseconds(following.get("start")) if isinstance(following, dict) else None


def _speaker(path: Path, name: Any) -> str:
    """A name that is the same in no other file, because each file counts its speakers anew."""
    if name is None or name == "?":
        return ""
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise UserError("has a speaker that is no name")
    return of_one_file(path, clean(str(name)), always=True)


def _by_speaker(
    segment: dict[str, Any], text: str, start: int, end: int | None
) -> list[tuple[Any, str, int, int | None]]:
    """Speaker, text, start and end of each part of a segment in which one speaks."""
    own = segment.get("speaker")
    words = segment.get("words")
    words = [word for word in words if isinstance(word, dict)] if isinstance(words, list) else []
    # A word without a speaker, or with null, goes with the one before it.
    who, turns = own, []
    for word in words:
        who = who if word.get("speaker") is None else word["speaker"]
        turns.append(who)
    if len(set(map(str, turns))) < 2:
        return [(own if own is not None or not turns else turns[0], text, start, end)]
    runs = [
        (name, [word for _, word in run])
        for name, run in groupby(zip(turns, words, strict=True), itemgetter(0))
    ]
    cuts, begins, at = [0], [start], 0
    for _, run in runs:
        for place, word in enumerate(run):
            said = str(word.get("word", word.get("text", ""))).strip()
            found = text.find(said, at)
            if place == 0 and (not said or found < 0):
                raise UserError("has several speakers, and words that are not those of its text")
            if place == 0 and at:
                cuts.append(found)
                begins.append(_begin(word, begins[-1], end, start, found / len(text)))
            at = max(at, found + len(said))
    texts = [text[cut:until] for cut, until in pairwise([*cuts, len(text)])]
    return list(zip([name for name, _ in runs], texts, begins, [*begins[1:], end], strict=True))


def _begin(word: dict[str, Any], earliest: int, end: int | None, start: int, share: float) -> int:
    """When a word begins: as it says, else by the share of the text that stands before it."""
    if isinstance(word.get("start"), int | float):
        begun = milliseconds(word["start"])
    else:  # aligners give no times to numbers
        begun = start + round(share * ((end if end is not None else earliest) - start))
    return max(earliest, begun if end is None else min(begun, end))
