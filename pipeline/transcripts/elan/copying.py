"""A copy of somebody's .eaf with a model's predictions in tiers of their own; nothing else in it changes."""

from __future__ import annotations

import codecs
import re
from itertools import count
from xml.parsers import expat

from pipeline.transcripts.predicted import Predicted, Recording
from pipeline.transcripts.writers.eaf import CONSTRAINT, KINDS, child_tier, child_type, type_name

_DECLARED = re.compile(rb"""^<\?xml[^>]*?\sencoding\s*=\s*["']([\w.-]+)["']""")
_BEFORE_CONSTRAINTS = ("LINGUISTIC_TYPE", "LOCALE", "LANGUAGE", "CONSTRAINT")


def add_predictions(source: bytes, recording: Recording) -> bytes:
    """The file, in UTF-8, with child tiers of those that the recording's utterances were imported from."""
    content = _as_utf8(source)
    there = _Places(content)
    by_tier: dict[str, list[Predicted]] = {}
    for each in recording.utterances:
        by_tier.setdefault(each.source[0], []).append(each)
    new_ids = (id for id in map("multiemo{}".format, count(1)) if id not in there.ids)
    lines = []
    for parent, utterances in by_tier.items():
        for kind in KINDS:
            name = _free(kind, parent.rpartition("@")[2] or parent, there.tiers)
            ids = [next(new_ids) for _ in utterances]
            owners = [each.source[1] for each in utterances]
            lines.append(child_tier(kind, name, parent, ids, owners, utterances, recording.model))
    lines += [child_type(kind) for kind in KINDS if type_name(kind) not in there.types]
    added = {there.tiers_end: "\n".join([*lines, ""])}
    if not there.has_constraint:
        added[there.types_end] = added.get(there.types_end, "") + CONSTRAINT + "\n"
    for place in sorted(added, reverse=True):
        content = content[:place] + added[place].encode() + content[place:]
    return content


class _Places:
    """Where in a file of ELAN's something can be put in, and which names are taken."""

    def __init__(self, content: bytes) -> None:
        self.tiers: set[str] = set()
        self.types: set[str] = set()
        self.ids: set[str] = set()
        self.has_constraint = False
        self.tiers_end = -1
        """Before the first type; before the end where there is none."""
        self.types_end = -1
        """After types, languages and constraints."""
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.Parse(content, True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        place = self._parser.CurrentByteIndex
        if name == "TIER":
            self.tiers.add(attributes.get("TIER_ID", ""))
        elif name == "LINGUISTIC_TYPE":
            self.types.add(attributes.get("LINGUISTIC_TYPE_ID", ""))
        self.ids.add(attributes.get("ANNOTATION_ID", ""))
        self.has_constraint |= attributes.get("STEREOTYPE") == "Symbolic_Association"
        if name in _BEFORE_CONSTRAINTS and self.tiers_end < 0:
            self.tiers_end = place
        elif self.tiers_end >= 0 and self.types_end < 0 and name not in _BEFORE_CONSTRAINTS:
            self.types_end = place

    def _end(self, name: str) -> None:
        if name == "ANNOTATION_DOCUMENT":
            place = self._parser.CurrentByteIndex
            self.tiers_end = place if self.tiers_end < 0 else self.tiers_end
            self.types_end = place if self.types_end < 0 else self.types_end


def _free(kind: str, speaker: str, taken: set[str]) -> str:
    """A tier's name that nobody has."""
    names = (f"{kind}{'' if number == 1 else number}@{speaker}" for number in count(1))
    name = next(each for each in names if each not in taken)
    taken.add(name)
    return name


def _as_utf8(source: bytes) -> bytes:
    if source.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        content = source.decode("utf-16").encode()
    elif (found := _DECLARED.match(source)) and found[1].lower() not in (b"utf-8", b"utf8"):
        content = source.decode(found[1].decode()).encode()
    else:
        return source
    if found := _DECLARED.match(content):
        return content[: found.start(1)] + b"UTF-8" + content[found.end(1) :]
    return content
