"""Praat's .TextGrid: numbers, quoted texts and ``<flags>``, in whatever words stand between them.

Long, short and hand-made files are one grammar; an exclamation mark begins a comment.
https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from pipeline.corpora.annotations.cells import one_line
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

SUFFIXES = (".textgrid",)
INTERVALS, POINTS = "IntervalTier", "TextTier"

# Only what stands free counts: the 1 of "intervals [1]:" is decoration.
_TOKEN = re.compile(
    r"""\s* (?: "(?P<text> (?: [^"] | "" )*)"
              | (?P<number> [-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)? ) (?!\S)
              | (?P<flag> <[a-z]+> ) (?!\S)
              | (?P<comment> !.* )
              | (?P<open> " )
              | (?P<word> [^\s"]\S* ) )""",
    re.VERBOSE,
)


class _Token(NamedTuple):
    kind: str
    """text, number, flag or end"""
    content: str
    line: int


def looks_like(head: str) -> bool:
    """Whether a file that begins so is of this format."""
    return "ooTextFile" in head[:200]


def read(path: Path, content: bytes, how: How, mistakes: Mistakes) -> Transcript:
    """All tiers, without the empty intervals that fill the gaps.

    Tiers of one name are told apart by ``#1``, ``#2``, ..., since nothing else does.
    """
    if content.startswith(b"ooBinaryFile"):
        raise UserError("is a binary file of Praat's: save it there as a text file")
    tokens = _Tokens(decode(content, how.encoding))
    if tokens.take("text").content not in ("ooTextFile", "ooTextFile short"):
        raise UserError("line 1: is no text file of Praat's (ooTextFile)")
    kind = tokens.take("text").content
    if kind != "TextGrid":
        raise UserError(f"holds Praat's {kind!r}, and no TextGrid")
    for _ in range(2):
        tokens.take("number")
    tiers: list[Tier] = []
    notes: Counter[str] = Counter()
    if tokens.take("flag").content == "<exists>":
        declared = tokens.take_count()
        while tokens.peek().kind == "text":
            tiers.append(_read_tier(path, tokens, mistakes, notes, is_last=len(tiers) + 1 == declared))
        if len(tiers) != declared:
            raise UserError(f"says that it has {declared} tiers, and holds {len(tiers)}: is it cut off?")
    left = tokens.peek()
    if left.kind != "end":
        raise UserError(f"line {left.line}: {left.content[:40]!r} stands where nothing should")
    count = Counter(tier.name for tier in tiers)
    number: Counter[str] = Counter()
    for place, tier in enumerate(tiers):
        if count[tier.name] > 1:
            number[tier.name] += 1
            tiers[place] = tier._replace(name=f"{tier.name}#{number[tier.name]}")
    return Transcript(path, tuple(tiers), tiered=True, notes=dict(notes))


def _read_tier(path: Path, tokens: _Tokens, mistakes: Mistakes, notes: Counter[str], is_last: bool) -> Tier:
    kind = tokens.take("text")
    if kind.content not in (INTERVALS, POINTS):
        raise UserError(f"line {kind.line}: {kind.content[:40]!r} is no kind of tier")
    name = one_line(tokens.take("text").content)
    for _ in range(2):
        tokens.take("number")
    declared = tokens.take_count()
    points, count = kind.content == POINTS, 0
    marks: list[Mark] = []
    while tokens.peek().kind == "number":
        line = tokens.peek().line
        times = [tokens.take("number").content for _ in range(1 if points else 2)]
        text = tokens.take("text").content
        with mistakes.at(f"{path}, line {line}, tier {name!r}"):
            start, end = milliseconds(times[0]), milliseconds(times[-1])
            place = f"line {line}, tier {name!r}, {clock(start)}"
            marks.append(Mark(start, end, clean(text), place))
        count += 1
        check_count(count)
    if count < declared and is_last:
        raise UserError(
            f"tier {name!r} says that it has {declared} intervals or points, and holds {count}:"
            " is the file cut off?"
        )
    if count != declared:
        notes["tiers hold another number of intervals or points than they say"] += 1
    spoken = tuple(mark for mark in marks if mark.text)
    return Tier(name, spoken, speaker=one_line(name.rpartition("@")[2]) or name, points=points)


class _Tokens:
    """The tokens of a text, one after the other."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._line = text, 0, 1
        self._next = self._scan()

    def peek(self) -> _Token:
        """The next token."""
        return self._next

    def take(self, kind: str) -> _Token:
        """The next token, which must be of this kind."""
        token = self._next
        if token.kind != kind:
            found = "the file ends" if token.kind == "end" else f"{token.content[:40]!r} stands"
            raise UserError(f"line {token.line}: {found} where a {kind} should be")
        self._next = self._scan()
        return token

    def take_count(self) -> int:
        """The next token as a number of things."""
        token = self.take("number")
        if not token.content.isdecimal() or len(token.content) > 9:
            raise UserError(f"line {token.line}: {token.content[:40]!r} is no number of tiers or intervals")
        return int(token.content)

    def _scan(self) -> _Token:
        while found := _TOKEN.match(self._text, self._at):
            start = found.start(found.lastgroup or 0)
            line = self._line + self._text.count("\n", self._at, start)
            self._line += self._text.count("\n", self._at, found.end())
            self._at = found.end()
            if found.lastgroup == "open":
                raise UserError(f"line {line}: a quote that is not closed: is the file cut off?")
            if found.lastgroup in ("text", "number", "flag"):
                return _Token(found.lastgroup, found[found.lastgroup].replace('""', '"'), line)
        return _Token("end", "", self._line)
