"""The text of a subtitle's cue: without its markup, and by who says it."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

_VOICE = re.compile(r"<v(?:\.[^\s<>.]*)*[ \t]+([^<>]*)>")
_VTT_TAG = re.compile(r"</?(?:c|i|b|u|v|lang|ruby|rt)(?:[.\s][^<>]*)?>|<(?:\d+:)?\d\d:\d\d\.\d{3}>")
_SRT_TAG = re.compile(r"</?(?:i|b|u|s|font)(?:\s[^<>]*)?>|\{\\[^{}]*\}", re.IGNORECASE)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[A-Za-z]\w{1,20});")
_NAME = r"[^\W\d_][^:\n]{0,39}"
_PREFIXES = (
    re.compile(r"\[([^\[\]\n]{1,40})\]:(?:\s+|$)"),  # WhisperX
    re.compile(r"\((speaker (?:\d{1,3}|\?))\)(?:\s+|$)"),  # whisper.cpp
    re.compile(rf"({_NAME}):(?:\s+|$)"),  # Zoom
)
_MOST_WORDS = 5
_DASH = re.compile(r"[-\u2013\u2014]\s*(?=\S)")


class Turn(NamedTuple):
    """What one person says within a cue."""

    speaker: str
    text: str


def plain_text(text: str, vtt: bool) -> str:
    """Text without tags and inline times, with its entities as characters."""
    text = _BREAK.sub("\n", text)
    text = (_VTT_TAG if vtt else _SRT_TAG).sub("", text)
    return _ENTITY.sub(lambda found: html.unescape(found[0]), text)


def accepted_names(
    texts: Iterable[str], known: Collection[str], vtt: bool
) -> tuple[frozenset[str], list[str]]:
    """Beginnings of lines, before a colon, that are speakers' names; and those that may be.

    A name stands in two cues, or is ``known``: ``Mhm: so`` is no turn of somebody called Mhm.
    """
    found: Counter[str] = Counter()
    for text in (text for text in texts if not _VOICE.search(text)):
        lines = (_prefix(line) for line in plain_text(text, vtt).split("\n"))
        found.update({name for name, _ in lines if name is not None})
    names = frozenset(
        name for name, count in found.items() if count > 1 or name in known or _is_certain(name)
    )
    return names, [name for name in found if name not in names]


def turns_of(text: str, names: Collection[str], vtt: bool) -> list[Turn]:
    """Who says what in a cue, in its order; turns without words are left out where there are others."""
    turns: list[Turn] = []
    for voice, part in _voices(text):
        said = plain_text(part, vtt)
        turns += [Turn(voice, said)] if voice else _lines(said.split("\n"), names)
    return [turn for turn in turns if turn.text.strip()] or turns[:1]


def _voices(text: str) -> Iterator[tuple[str, str]]:
    """Voice and text; a voice ends where the next one begins, closed or not."""
    pieces = _VOICE.split(text)
    if pieces[0].strip() or len(pieces) == 1:
        yield "", pieces[0]
    for name, part in zip(pieces[1::2], pieces[2::2], strict=True):
        voice = _ENTITY.sub(lambda found: html.unescape(found[0]), name).strip()
        yield "" if voice == "-" else voice, part


def _lines(lines: list[str], names: Collection[str]) -> Iterator[Turn]:
    """Turns that begin with a name, or with dashes where there are two of them."""
    dashes = [bool(_DASH.match(line.strip())) for line in lines]
    dashed = bool(lines) and dashes[0] and sum(dashes) > 1
    turn = None
    for line, has_dash in zip(lines, dashes, strict=True):
        bare = _DASH.sub("", line.strip(), count=1) if dashed and has_dash else line
        name, said = _prefix(bare)
        if name not in names:
            name, said = None, bare
        if turn is None or name is not None or (dashed and has_dash):
            if turn is not None:
                yield turn
            turn = Turn("" if name is None or name == "speaker ?" else name, said)
        else:
            turn = turn._replace(text=f"{turn.text}\n{said}")
    if turn is not None:
        yield turn


def _prefix(line: str) -> tuple[str | None, str]:
    """The name that a line begins with, None if there is none, and the rest of the line."""
    line = line.strip()
    for pattern in _PREFIXES:
        found = pattern.match(line)
        if found and len(found[1].split()) <= _MOST_WORDS:
            return found[1].strip(), line[found.end() :]
    return None, line


def _is_certain(name: str) -> bool:
    """Whether nobody but a program writes so: SPEAKER_00, speaker 0."""
    return re.fullmatch(r"(?i:speaker)[ _]?(?:\d{1,3}|\?)|UNKNOWN", name) is not None
