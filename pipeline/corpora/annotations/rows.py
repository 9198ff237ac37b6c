"""Annotation files as lines and rows, and the mistakes in them, told together.

Annotations are typed, exported and mailed around by hand.  What these functions return is clean text;
everything else is refused by file and line, since a row that is skipped or misread silently changes
every figure that is computed later.
"""

from __future__ import annotations

import csv
import difflib
import json
import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.errors import UserError, shorten

MISTAKES_SHOWN = 5
# The words of more than a thousand hours; in memory a table takes some twenty times its size.
MOST_BYTES = 64 * 2**20
CHARACTERS_SHOWN = 300
DELIMITERS = (",", ";", "\t")
"""Excel separates by semicolons where the comma is the decimal point."""
LIST_SEPARATOR = " & "

# Some copies hold C1 control characters that stand for the cp1252 characters of the same number:
# typographic quotes and dashes.  Five of the 32 stand for nothing.
_NO_CHARACTER = "\x81\x8d\x8f\x90\x9d"
_C1_TO_CP1252 = {
    code: bytes([code]).decode("cp1252") for code in range(0x80, 0xA0) if chr(code) not in _NO_CHARACTER
}

_JSON_KINDS = {bool: "true or false", list: "a list", tuple: "an object"}


def name_party(speaker: str, parties: dict[frozenset[str], str]) -> str:
    """Several speakers in the order in which they came first: ``parties`` has those of earlier rows.

    >>> parties = {}
    >>> name_party("Ann & Bob", parties), name_party("Bob & Ann", parties)
    ('Ann & Bob', 'Ann & Bob')
    """
    names = dict.fromkeys(speaker.split(LIST_SEPARATOR))
    return parties.setdefault(frozenset(names), LIST_SEPARATOR.join(names))


class Row(NamedTuple):
    """A row of a table of annotations."""

    line: int
    """Where the row begins, from 1."""
    cells: dict[str, str]
    """Column -> content; every column of the table."""


class Mistakes:
    """Mistakes by place, so that nobody has to mend them one run at a time."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, place: str, what: str) -> None:
        """Note a mistake."""
        self._lines.append(f"{shorten(place, CHARACTERS_SHOWN)}: {shorten(what, CHARACTERS_SHOWN)}")

    @contextmanager
    def at(self, place: str) -> Iterator[None]:
        """Note the UserError of the block as a mistake at ``place``, and go on."""
        try:
            yield
        except UserError as error:
            self.add(place, str(error))

    def refuse(self) -> None:
        """UserError with the first mistakes, one line each, if there are any."""
        more = len(self._lines) - MISTAKES_SHOWN
        if self._lines:
            rest = [f"and {more} more"] if more > 0 else []
            raise UserError("\n".join([*self._lines[:MISTAKES_SHOWN], *rest]))


def read_lines(path: Path, *, cp1252: bool = False) -> list[str]:
    """The lines of a UTF-8 file with their ends; ``cp1252`` reads the lines that are not UTF-8 as such.

    Raises UserError, with the line, for a file that is empty or is no text of that encoding.
    """
    try:
        content = read_bytes(path)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{path}: is UTF-16: save it as UTF-8")
    lines = content.removeprefix(b"\xef\xbb\xbf").splitlines(keepends=True)
    if not any(line.strip() for line in lines):  # a byte order mark may be all there is
        raise UserError(f"{path}: is empty")
    return [_decode(line, f"{path}, line {number}", cp1252) for number, line in enumerate(lines, 1)]


def read_bytes(path: Path) -> bytes:
    """A file's content; UserError, without its name, if it cannot be had, is empty, or far too large."""
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise UserError("is no file")
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}") from None
    if len(content) > MOST_BYTES:
        raise UserError(f"is larger than {MOST_BYTES // 2**20} MB: is it the right file?")
    if not content.strip():
        raise UserError("is empty")
    return content


def read_delimited(
    path: Path,
    lines: Sequence[str],
    mistakes: Mistakes,
    *,
    required: Sequence[str],
    optional: Collection[str] | None = None,
) -> list[Row]:
    """Rows below a header line, which tells the delimiter; cells may be quoted with ``"`` as in CSV.

    ``optional`` are the other columns that there may be, None for any.  Rows with too few or too many
    cells go to ``mistakes``; a header that does not fit, or quotes that do not, is a UserError.
    """
    # Strict, because a stray quote otherwise swallows all rows up to the next one.
    reader = csv.reader(lines, delimiter=_delimiter(lines, required), strict=True)
    header: list[str] = []
    rows: list[Row] = []
    line = 1
    try:
        for cells in reader:
            if cells and not header:
                header = [cell.strip() for cell in cells]
                _check_columns(f"{path}, line {line}", header, required, optional)
            elif cells and len(cells) == len(header):
                rows.append(Row(line, dict(zip(header, cells, strict=True))))
            elif cells:
                mistakes.add(
                    f"{path}, line {line}",
                    f"{len(cells)} cells, but the header has {len(header)};"
                    f" put text that holds a separator in double quotes",
                )
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{path}, line {line}: {error}; a quote within quotes is written twice") from None
    return rows


def read_json_lines(
    path: Path,
    lines: Sequence[str],
    mistakes: Mistakes,
    *,
    required: Sequence[str],
    optional: Sequence[str],
    lists: Collection[str] = (),
) -> list[Row]:
    """Rows of one JSON object per line, all values as text; lines of another kind go to ``mistakes``.

    Values are text, numbers or null, and in ``lists`` lists of text, which are joined by ``LIST_SEPARATOR``.
    A column of ``optional`` that a line leaves out is empty.
    """
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            place = f"{path}, line {number}"
            with mistakes.at(place):
                pairs = _parse_object(line)
                _check_columns("the row", [key for key, _ in pairs], required, optional)
                cells = {key: _as_text(key, value, lists) for key, value in pairs}
                rows.append(Row(number, dict.fromkeys(optional, "") | cells))
    return rows


def _decode(line: bytes, place: str, cp1252: bool) -> str:
    if b"\0" in line:
        raise UserError(f"{place}: holds a NUL byte: the file is damaged, or is no UTF-8")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = f"byte 0x{line[error.start]:02x}"
        if not cp1252:
            raise UserError(f"{place}: {byte} is not UTF-8: save the file as UTF-8") from None
        try:
            text = line.decode("cp1252")
        except UnicodeDecodeError:
            raise UserError(f"{place}: neither UTF-8 nor cp1252: save the file as UTF-8") from None
    if any(character in text for character in _NO_CHARACTER):
        raise UserError(f"{place}: holds a control character that stands for no letter: write it anew")
    return text.translate(_C1_TO_CP1252)


def _delimiter(lines: Sequence[str], columns: Collection[str]) -> str:
    """What separates the most columns of the header."""
    header = next((line for line in lines if line.strip()), "")

    def known(delimiter: str) -> int:
        return sum(cell.strip(' "\r\n') in columns for cell in header.split(delimiter))

    return max(DELIMITERS, key=known)


def _check_columns(
    place: str, found: Sequence[str], required: Sequence[str], optional: Collection[str] | None
) -> None:
    """UserError for columns that are missing, repeated or unknown."""
    known = [*required, *(optional or ())]
    absent = [column for column in required if column not in found]
    unknown = [] if optional is None else [column for column in found if column not in known]
    repeated = [column for column in known if found.count(column) > 1]
    if unknown and (not unknown[0] or unknown[0].startswith("Unnamed:")):
        raise UserError(
            f"{place}: column {found.index(unknown[0]) + 1} has no name ({unknown[0]!r}): delete it;"
            f" pandas writes its index there unless it is told index=False"
        )
    if unknown:
        close = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
        raise UserError(f"{place}: unknown column {unknown[0]!r} ({hint})")
    if absent:
        raise UserError(f"{place}: column {absent[0]} is missing; expected are {', '.join(required)}")
    if repeated:
        raise UserError(f"{place}: column {repeated[0]} stands there more than once")


def _parse_object(line: str) -> list[tuple[str, Any]]:
    """Keys and values of a JSON object, repeated keys included."""
    try:
        # As a tuple of pairs, an object differs from a list and shows its repeated keys.
        parsed = json.loads(line, object_pairs_hook=tuple)
    except RecursionError:
        raise UserError("not JSON of a row: nested too deep") from None
    except ValueError as error:
        raise UserError(f"not JSON: {error}") from None
    if not isinstance(parsed, tuple):
        raise UserError("must be one JSON object, {...}, per line")
    return list(parsed)


def _as_text(key: str, value: Any, lists: Collection[str] = ()) -> str:
    """Empty for null, and for the NaN that Python writes for a gap of pandas."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, list) and key in lists:
        return LIST_SEPARATOR.join(filter(None, (_as_text(key, each).strip() for each in value)))
    infinite = isinstance(value, float) and math.isinf(value)
    if infinite or isinstance(value, bool) or not isinstance(value, str | int | float):
        kind = _JSON_KINDS.get(type(value), "infinite")
        raise UserError(f"{key} must be text, a number or null, not {kind}")
    text = str(value)
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise UserError(f"{key} holds a character that is none (NUL or half of a pair)")
    return text
