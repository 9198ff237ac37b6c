"""Fonts for texts in any script: matplotlib's own and, for what it lacks, those of this machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from matplotlib.font_manager import FontEntry, fontManager
from matplotlib.ft2font import FT2Font

OWN = "DejaVu Sans"
"""It comes with matplotlib, so that every machine draws the same."""
BOXES = "Last Resort"
"""Fonts whose name begins so have a glyph for everything: a box."""


class Fonts(NamedTuple):
    """Families to draw texts with, each for what those before it lack."""

    families: Sequence[str]
    lacking: frozenset[str]
    """Characters of the texts that no font of this machine has."""

    def drawable(self, names: Sequence[str]) -> list[str]:
        """Names that are among the texts; those that cannot be drawn by their number, from 0."""
        return [
            name if self.lacking.isdisjoint(name) else f"class {number}" for number, name in enumerate(names)
        ]


def fonts_for(texts: Iterable[str]) -> Fonts:
    """Few fonts that have all characters of the texts, as far as there are any."""
    families = [OWN]
    lacking = frozenset(filter(_is_seen, "".join(texts))) - _read(fontManager.findfont(OWN))
    others = _others() if lacking else {}
    while others:
        best = _find_best(others, lacking)
        if not lacking & others[best]:
            break
        families.append(best)
        lacking -= others[best]
    return Fonts(families, lacking)


def _find_best(others: Mapping[str, frozenset[str]], lacking: frozenset[str]) -> str:
    """The family that has most of what is lacking; of equals, the same on every run."""
    return min(others, key=lambda family: (-len(lacking & others[family]), family))


def _is_seen(character: str) -> bool:
    """Whether it needs a glyph: no space, no control, no choice between two looks of another."""
    return character.isprintable() and not character.isspace() and not "\ufe00" <= character <= "\ufe0f"


def _others() -> dict[str, frozenset[str]]:
    """The characters of every family of this machine that has letters, in its plain look."""
    faces: dict[str, FontEntry] = {}
    for face in fontManager.ttflist:
        if face.style == "normal" and face.weight in (400, "normal", "regular", "book"):
            faces.setdefault(face.name, face)
    return {name: _read(face.fname) for name, face in faces.items() if not name.startswith(BOXES)}


@cache
def _read(path: str) -> frozenset[str]:
    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):  # it is gone, or damaged
        return frozenset()
    # Coloured emoji are bitmaps, which matplotlib does not draw.
    return frozenset(map(chr, font.get_charmap())) if font.scalable else frozenset()
