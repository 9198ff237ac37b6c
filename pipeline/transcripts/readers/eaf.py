"""ELAN's .eaf: XML with numbered time slots, tiers of annotations, and tiers of annotations of those.

An aligned annotation names two slots, which may have no time and then share the gap between those that have;
a reference annotation names its parent, and has its time.  https://www.mpi.nl/tools/elan/EAFv3.0.xsd
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote
from xml.parsers import expat

from pipeline.corpora.annotations.cells import one_line
from pipeline.corpora.annotations.rows import Mistakes
from pipeline.errors import UserError
from pipeline.transcripts.content import LONGEST_S, Mark, MediaLink, Tier, Transcript, clean, clock
from pipeline.transcripts.reading import How

SUFFIXES = (".eaf",)
MS_PER_UNIT = {"milliseconds": 1.0, "PAL-frames": 40.0, "PAL-50-frames": 20.0, "NTSC-frames": 1001 / 30}
ANNOTATIONS = ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION")


def looks_like(head: str) -> bool:
    """Whether a file that begins so is of this format."""
    return "<ANNOTATION_DOCUMENT" in head


def read(path: Path, content: bytes, how: How, mistakes: Mistakes) -> Transcript:
    """All tiers, in the file's order; times are those of the transcript's clock."""
    document = _Document(path, mistakes)
    document.parse(content)
    times = _Times(document)
    roots = _roots(document.parents)
    tiers = []
    by_tier: dict[str, list[_Row]] = {}
    for row in document.rows:
        by_tier.setdefault(row.tier, []).append(row)
    for name, attributes in document.tiers.items():
        rows, marks = by_tier.get(name, []), []
        for row in rows:
            with mistakes.at(f"{path}, line {row.line}, tier {name!r}"):
                start, end = times.span(row)
                text = clean(row.text)
                place = f"line {row.line}, tier {name!r}, {clock(start)}"
                marks.append(Mark(start, end, text, place, id=row.id, parent=row.refers))
        tiers.append(
            Tier(
                name,
                tuple(marks),
                speaker=one_line(roots[name].rpartition("@")[2]) or roots[name],
                participant=one_line(document.tiers[roots[name]].get("PARTICIPANT", "")),
                parent=attributes.get("PARENT_REF", ""),
                untimed=sum(row.id in times.shared for row in rows),
            )
        )
    return Transcript(path, tuple(tiers), tiered=True, media=tuple(document.media()))


class _Row:
    """An annotation as it is written."""

    def __init__(self, tier: str, attributes: dict[str, str], line: int) -> None:
        self.tier, self.line = tier, line
        self.id = attributes.get("ANNOTATION_ID", "")
        self.slots = attributes.get("TIME_SLOT_REF1", ""), attributes.get("TIME_SLOT_REF2", "")
        self.refers = attributes.get("ANNOTATION_REF", "")
        self.text = ""


class _Document:
    """The elements that count; everything else in the file is left alone."""

    def __init__(self, path: Path, mistakes: Mistakes) -> None:
        self.path, self.mistakes = path, mistakes
        self.ms_per_unit = 1.0
        self.slots: dict[str, int | None] = {}
        self.tiers: dict[str, dict[str, str]] = {}
        self.parents: dict[str, str] = {}
        self.rows: list[_Row] = []
        self._links: list[dict[str, str]] = []
        self._tier = ""
        self._in_value = False
        self._depth = 0

    def parse(self, content: bytes) -> None:
        """Read all; UserError with the line where it is no XML of ELAN's."""
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        try:
            parser.Parse(content, True)
        except (expat.ExpatError, ValueError, LookupError) as error:
            line = parser.CurrentLineNumber
            raise UserError(f"line {line}: not whole and valid XML ({error}): is the file cut off?") from None
        if not self.tiers:
            raise UserError("holds no tier")
        # Tiers are told by their names, and may be in any order.
        self.parents = {name: tier.get("PARENT_REF", "") for name, tier in self.tiers.items()}

    def media(self) -> Iterator[MediaLink]:
        """The media that the header names, by their base names."""
        for link in self._links:
            url = link.get("MEDIA_URL") or link.get("RELATIVE_MEDIA_URL") or ""
            name = one_line(PurePosixPath(unquote(url).replace("\\", "/")).name)
            origin = link.get("TIME_ORIGIN", "0").strip() or "0"
            if not re.fullmatch(r"-?\d{1,10}", origin, re.ASCII):
                raise UserError(f"TIME_ORIGIN {origin!r} is no number of milliseconds")
            if name:
                yield MediaLink(name, int(origin))

    def _doctype(self, *_: object) -> None:
        raise UserError(
            f"line {self._parser.CurrentLineNumber}: has a DOCTYPE, which ELAN never writes: entities are not"
            " read; delete it if you trust the file"
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        line = self._parser.CurrentLineNumber
        if not self._depth and name != "ANNOTATION_DOCUMENT":
            raise UserError(f"line {line}: is no file of ELAN's: it begins with <{name[:60]}>")
        self._depth += 1
        if name == "HEADER":
            unit = attributes.get("TIME_UNITS", "milliseconds")
            if unit not in MS_PER_UNIT:
                raise UserError(f"line {line}: TIME_UNITS {unit!r} is none of {', '.join(MS_PER_UNIT)}")
            self.ms_per_unit = MS_PER_UNIT[unit]
            if attributes.get("MEDIA_FILE"):
                self._links.append({"MEDIA_URL": attributes["MEDIA_FILE"]})
        elif name == "MEDIA_DESCRIPTOR":
            self._links.append(attributes)
        elif name == "TIME_SLOT":
            with self.mistakes.at(f"{self.path}, line {line}"):
                self._slot(attributes)
        elif name == "TIER":
            self._tier = attributes.get("TIER_ID", "")
            if self._tier in self.tiers:
                raise UserError(f"line {line}: a second tier {self._tier!r}: name it otherwise")
            self.tiers[self._tier] = attributes
        elif name in ANNOTATIONS:
            self.rows.append(_Row(self._tier, attributes, line))
        elif name == "ANNOTATION_VALUE":
            self._in_value = bool(self.rows)

    def _slot(self, attributes: dict[str, str]) -> None:
        id, value = attributes.get("TIME_SLOT_ID", ""), attributes.get("TIME_VALUE", "").strip()
        if id in self.slots:
            raise UserError(f"a second time slot {id!r}")
        if value and not re.fullmatch(r"-?\d{1,12}", value, re.ASCII):
            raise UserError(f"TIME_VALUE {value!r} of time slot {id!r} is no number")
        ms = round(int(value) * self.ms_per_unit) if value else None
        if ms is not None and abs(ms) > 1000 * LONGEST_S:
            raise UserError(f"TIME_VALUE {value!r} of time slot {id!r} is no time of a recording")
        self.slots[id] = ms

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name == "ANNOTATION_VALUE":
            self._in_value = False

    def _text(self, text: str) -> None:
        if self._in_value:
            self.rows[-1].text += text


class _Times:
    """When annotations are: by their slots, or by what they belong to."""

    def __init__(self, document: _Document) -> None:
        self._rows = {row.id: row for row in document.rows}
        repeated = [id for id, count in Counter(row.id for row in document.rows).items() if count > 1]
        if repeated:
            raise UserError(f"line {self._rows[repeated[0]].line}: a second annotation {repeated[0]!r}")
        self._slots = dict(document.slots)
        self.shared: set[str] = set()
        """Annotations without a time of their own."""
        self._share_gaps(document.rows)
        self._siblings: dict[tuple[str, str], dict[str, int]] = {}
        for row in document.rows:
            if row.refers:
                siblings = self._siblings.setdefault((row.tier, row.refers), {})
                siblings[row.id] = len(siblings)
        self._spans: dict[str, tuple[int, int]] = {}

    def span(self, row: _Row) -> tuple[int, int]:
        """Start and end in ms; UserError where the file does not say them."""
        chain = [row]
        while chain[-1].refers and chain[-1].id not in self._spans:
            parent = self._rows.get(chain[-1].refers)
            if parent is None:
                raise UserError(f"refers to the annotation {chain[-1].refers!r}, which is not there")
            if len(chain) > len(self._rows):
                raise UserError("refers to an annotation that refers to it")
            chain.append(parent)
        for each in reversed(chain):
            if each.id not in self._spans:
                self._spans[each.id] = self._share(each) if each.refers else self._aligned(each)
        return self._spans[row.id]

    def _aligned(self, row: _Row) -> tuple[int, int]:
        start, end = (self._slots.get(slot) for slot in row.slots)
        if start is None or end is None:
            which = next(slot for slot in row.slots if self._slots.get(slot) is None)
            raise UserError(f"time slot {which!r} has no time, nor has any that it could share")
        return start, end

    def _share(self, row: _Row) -> tuple[int, int]:
        """An equal part of the parent's time, where it has several children in this tier."""
        start, end = self._spans[row.refers]
        siblings = self._siblings[row.tier, row.refers]
        place, count = siblings[row.id], len(siblings)
        if count > 1:
            self.shared.add(row.id)
        return start + (end - start) * place // count, start + (end - start) * (place + 1) // count

    def _share_gaps(self, rows: list[_Row]) -> None:
        """Give slots without a time equal parts of the time between those of their tier that have one."""
        begun = {(row.tier, row.slots[0]): row for row in rows if not row.refers}
        passed: set[tuple[str, str]] = set()
        for (_, first), row in begun.items():
            start, gap = self._slots.get(first), [row]
            while start is not None and self._slots.get(slot := gap[-1].slots[1]) is None:
                following = begun.get((row.tier, slot))
                if following is None or (row.tier, slot) in passed:
                    break
                passed.add((row.tier, slot))
                gap.append(following)
            end = self._slots.get(gap[-1].slots[1])
            if start is not None and end is not None and len(gap) > 1:
                for place, each in enumerate(gap[:-1], 1):
                    self._slots[each.slots[1]] = start + (end - start) * place // len(gap)
                self.shared.update(each.id for each in gap)


def _roots(parents: dict[str, str]) -> dict[str, str]:
    """The outermost tier that each tier belongs to; of a circle, one of it."""
    roots: dict[str, str] = {}
    for tier in parents:
        chain = {tier: None}
        while (name := next(reversed(chain))) not in roots:
            parent = parents[name]
            if parent not in parents or parent in chain:
                break
            chain[parent] = None
        root = roots.get(name, name)
        roots |= dict.fromkeys(chain, root)
    return roots
