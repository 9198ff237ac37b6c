"""ELAN's .eaf: XML with numbered time slots, tiers of annotations, and tiers of annotations of those.

An aligned annotation names two slots, which may have no time and then share the gap between those that have;
a reference annotation names its parent, and has its time.  https://www.mpi.nl/tools/elan/EAFv3.0.xsd
"""

from __future__ import annotations

from pathlib import Path

from pipeline.corpora.annotations.cells import one_line
from pipeline.corpora.annotations.rows import Mistakes
from pipeline.transcripts.content import Mark, Tier, Transcript, clean, clock
from pipeline.transcripts.elan.document import Document, Row
from pipeline.transcripts.elan.times import Times
from pipeline.transcripts.reading import How

SUFFIXES = (".eaf",)


def looks_like(head: str) -> bool:
    """Whether a file that begins so is of this format."""
    return "<ANNOTATION_DOCUMENT" in head


def read(path: Path, content: bytes, how: How, mistakes: Mistakes) -> Transcript:
    """All tiers, in the file's order; times are those of the transcript's clock."""
    document = Document(path, mistakes)
    document.parse(content)
    times = Times(document)
    roots = _roots(document.parents)
    tiers = []
    by_tier: dict[str, list[Row]] = {}
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
