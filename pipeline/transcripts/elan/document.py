"""An .eaf as it is written: slots, tiers, annotations and media, with the lines that they stand on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote
from xml.parsers import expat

from pipeline.corpora.annotations.cells import one_line
from pipeline.corpora.annotations.rows import Mistakes
from pipeline.errors import UserError
from pipeline.transcripts.content import LONGEST_S, MediaLink, check_count

MS_PER_UNIT = {"milliseconds": 1.0, "PAL-frames": 40.0, "PAL-50-frames": 20.0, "NTSC-frames": 1001 / 30}
ANNOTATIONS = ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION")


class Row:
    """An annotation as it is written."""

    def __init__(self, tier: str, attributes: dict[str, str], line: int) -> None:
        self.tier, self.line = tier, line
        self.id = attributes.get("ANNOTATION_ID", "")
        self.slots = attributes.get("TIME_SLOT_REF1", ""), attributes.get("TIME_SLOT_REF2", "")
        self.refers = attributes.get("ANNOTATION_REF", "")
        self.previous = attributes.get("PREVIOUS_ANNOTATION", "")
        self.text = ""


class Document:
    """The elements that count; everything else in the file is left alone."""

    def __init__(self, path: Path, mistakes: Mistakes) -> None:
        self.path, self.mistakes = path, mistakes
        self.ms_per_unit = 1.0
        self.slots: dict[str, int | None] = {}
        self.tiers: dict[str, dict[str, str]] = {}
        self.parents: dict[str, str] = {}
        self.rows: list[Row] = []
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
            self.rows.append(Row(self._tier, attributes, line))
            check_count(len(self.rows))
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
