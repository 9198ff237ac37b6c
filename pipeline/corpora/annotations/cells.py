"""What a cell of a table of annotations says.

The same word is written in several ways that look alike: composed or decomposed (macOS), with characters
that show nothing, with spaces that do not break.  Compared as they are, one class becomes two.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter

from pipeline.errors import UserError

GAPS = frozenset({
    *("NaN", "nan", "-NaN", "-nan", "NaT", "None", "NULL", "null", "NA", "<NA>", "N/A", "n/a"),
    *("#N/A", "#NA", "#NV"),
})  # fmt: skip
"""What pandas, R, SQL and Excel write where there is nothing."""

# Soft hyphens, fillers, marks of direction, and other characters that are never seen.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff"
    "\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
# Joiners and variation selectors shape emoji and the letters of some scripts; beside ASCII they do nothing.
_IDLE = re.compile("(?<![^\x00-\x7f])[\u200c\u200d\ufe00-\ufe0f]|[\u200c\u200d](?![^\x00-\x7f])")
_NO_BREAK = re.compile("[\u00a0\u2007\u202f]")
_CLOCK = re.compile(r"(\d+):([0-5]\d):([0-5]\d(?:\.\d*)?)", re.ASCII)
_WHOLE = re.compile(r"(\d{1,40})(?:[.,]0)?", re.ASCII)


def plain(cell: str) -> str:
    r"""The text in NFC, without characters that show nothing, and with plain spaces for no-break ones.

    >>> plain("Zoe\u0308\u200b\u00a0B.") == "Zo\u00eb B."
    True
    """
    if cell.isascii():
        return cell
    composed = unicodedata.normalize("NFC", _NO_BREAK.sub(" ", cell))
    return unicodedata.normalize("NFC", _IDLE.sub("", _INVISIBLE.sub("", composed)))


def one_line(cell: str) -> str:
    """``plain``, with any white space as single spaces: a cell with line breaks is still one utterance."""
    return " ".join(plain(cell).split())


def number(cell: str) -> float | None:
    """A cell as a finite number; a comma may stand for the point.  None if it is something else.

    >>> number("-1.6"), number("2,0"), number("joy"), number("inf")
    (-1.6, 2.0, None, None)
    """
    try:
        found = float(cell.replace(",", "."))
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def spelling(label: str) -> str:
    """What labels have in common that are probably one.

    >>> spelling("Joy") == spelling("ｊｏｙ"), spelling("2") == spelling("2.0")
    (True, True)
    """
    folded = re.sub("[\ufe00-\ufe0f]", "", unicodedata.normalize("NFKC", label)).casefold()
    return folded if number(folded) is None else str(number(folded))


def whole_number(cell: str) -> int | None:
    """A cell of up to forty digits as a number, also as pandas writes it; None if it is something else.

    >>> whole_number(" 12 "), whole_number("1700000000000"), whole_number("10.0"), whole_number("1.5")
    (12, 1700000000000, 10, None)
    """
    match = _WHOLE.fullmatch(cell.strip())
    return int(match[1]) if match else None


def seconds(cell: str) -> float:
    """Seconds, or a clock time with hours; a comma may stand for the point.  ValueError if it is neither.

    >>> seconds("12,5"), seconds("01:00:02.5"), seconds("00:01:02,500")
    (12.5, 3602.5, 62.5)
    """
    text = cell.replace(",", ".")
    if clock := _CLOCK.fullmatch(text):
        return round(3600 * int(clock[1]) + 60 * int(clock[2]) + float(clock[3]), 6)
    return float(text)


def check_gaps(cells: dict[str, str]) -> None:
    """UserError for a cell that holds an exporter's word for nothing."""
    for column, cell in cells.items():
        if cell in GAPS:
            raise UserError(
                f"{column} {cell!r} is what exporters write for a gap: leave the cell empty, or, if it is"
                f" meant, write it otherwise ({cell}.)"
            )


def describe_mended(columns: Counter[str]) -> list[str]:
    """A remark on the cells that ``plain`` changed, by column; none if there are none."""
    if not columns:
        return []
    listed = ", ".join(f"{column} {count}" for column, count in sorted(columns.items()))
    return [
        f"{columns.total()} cells, or the files that they name, hold decomposed letters, invisible characters"
        f" or no-break spaces, and were read as NFC without them ({listed})"
    ]
