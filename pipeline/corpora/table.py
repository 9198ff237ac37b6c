"""A lab's own recordings: one table of utterances beside the media files that it names.

The table is ``annotations.csv``, ``annotations.tsv`` or ``annotations.jsonl`` in the corpus's root;
docs/corpora.md describes its columns.  A table with a mistake is refused as a whole.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Literal

from pipeline.corpora.annotations.corpus import SPLITS, Annotation, Corpus
from pipeline.corpora.annotations.rows import (
    Mistakes,
    Row,
    read_delimited,
    read_json_lines,
    read_lines,
    whole_number,
)
from pipeline.errors import UserError
from pipeline.manifest import Utterance
from pipeline.params import FormatParams

CONTENT = "annotations.csv, annotations.tsv or annotations.jsonl and the media files that it names"

COLUMNS = ("dialogue", "utterance", "speaker", "text", "label", "split", "media")
OPTIONAL_COLUMNS = ("start_s", "end_s", "crop")
FILE_NAMES = ("annotations.csv", "annotations.tsv", "annotations.jsonl")

_ALLOW = "; format: {kind: table, outside_media: true} in params.yaml allows it"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Params(FormatParams):
    """Where the media files of a table may lie."""

    kind: Literal["table"] = "table"
    outside_media: bool = False
    """Whether its paths may lead outside of ``root``."""


def label_names(labels: Iterable[str]) -> tuple[str, ...]:
    """The labels that occur, sorted.

    >>> label_names(["joy", "", "anger", "joy"])
    ('anger', 'joy')
    """
    return tuple(sorted({label for label in labels if label}))


def read(root: Path, params: Params) -> Corpus:
    """The corpus at ``root``: every annotated row is in it."""
    return Corpus(read_table(root, outside_media=params.outside_media), notes={})


def read_table(root: Path, *, outside_media: bool = False) -> list[Annotation]:
    """All utterances of a table, by split, dialogue and number (or row, where one is no number).

    ``outside_media`` lets media files lie outside the root.  Raises UserError with the first mistakes,
    one line each, by file, line and utterance.
    """
    path = _find_table(root)
    bounds = None if outside_media else root.resolve()
    mistakes = Mistakes()
    found: dict[str, tuple[Row, Annotation]] = {}
    first_rows: dict[tuple[str, str], Row] = {}
    for row in _read_rows(path, mistakes):
        dialogue, number = row.cells["dialogue"].strip(), row.cells["utterance"].strip()
        id = f"{dialogue}_{number}"
        with mistakes.at(f"{path}, line {row.line}, utterance {id!r}"):
            annotation = _parse(row, id, bounds)
            if id in found:
                raise UserError(f"also stands on line {found[id][0].line}: keep one, or number it anew")
            _agree(first_rows, row, ("dialogue", dialogue), "split")
            _agree(first_rows, row, ("label", annotation.utterance.label.lower()), "label")
            found[id] = row, annotation
    mistakes.refuse()
    if not found:
        raise UserError(f"{path}: no utterances below the header")
    return _in_order(found.values())


def _find_table(root: Path) -> Path:
    found = [root / name for name in FILE_NAMES if (root / name).is_file()]
    if len(found) == 1:
        return found[0]
    names = ", ".join(path.name for path in found)
    raise UserError(
        f"{root}: {f'holds {names}; keep' if found else 'holds no table of annotations; put there'}"
        f" one of {', '.join(FILE_NAMES)}"
    )


def _read_rows(path: Path, mistakes: Mistakes) -> list[Row]:
    lines = read_lines(path)
    if path.suffix == ".jsonl":
        return read_json_lines(path, lines, mistakes, required=COLUMNS, optional=OPTIONAL_COLUMNS)
    delimiter = "\t" if path.suffix == ".tsv" else ","
    return read_delimited(path, lines, delimiter, mistakes, required=COLUMNS, optional=OPTIONAL_COLUMNS)


def _parse(row: Row, id: str, bounds: Path | None) -> Annotation:
    """A row as an annotation at position 0; UserError with what is wrong with it."""
    cells = {column: cell.strip() for column, cell in row.cells.items()}
    for column in ("dialogue", "utterance"):
        if not cells[column]:
            raise UserError(f"{column} is empty")
        if _CONTROL.search(cells[column]):
            raise UserError(f"{column} {cells[column]!r} holds a control character")
    if cells["split"] not in SPLITS:
        raise UserError(f"split {cells['split']!r} is none of {', '.join(SPLITS)}")
    start_s, end_s = _parse_span(cells.get("start_s", ""), cells.get("end_s", ""))
    return Annotation(
        Utterance(
            id=id,
            split=cells["split"],
            dialogue=cells["dialogue"],
            position=0,
            speaker=_one_line(cells["speaker"]),
            label=_one_line(cells["label"]),
            text=_one_line(cells["text"]),
        ),
        media=_parse_media(cells["media"], bounds),
        start_s=start_s,
        end_s=end_s,
        crop=_parse_crop(cells.get("crop", "")),
    )


def _parse_span(start: str, end: str) -> tuple[float | None, float | None]:
    if not start and not end:
        return None, None
    if not start or not end:
        raise UserError("start_s and end_s must both be given, or neither for the whole file")
    try:
        start_s, end_s = float(start), float(end)
    except ValueError:
        raise UserError(f"start_s {start!r} and end_s {end!r} must be seconds, such as 12.5") from None
    if not (math.isfinite(start_s) and math.isfinite(end_s)):
        raise UserError(f"start_s {start!r} and end_s {end!r} must be finite")
    if start_s < 0:
        raise UserError(f"start_s {start} lies before the file's start")
    if end_s <= start_s:
        raise UserError(f"end_s {end} must be greater than start_s {start}")
    return start_s, end_s


def _parse_media(media: str, bounds: Path | None) -> str:
    """A path relative to the root, as short as it can be written; empty for none.

    ``bounds`` is the folder that it must not leave, None if it may lead anywhere.
    """
    if not media:
        return ""
    if _CONTROL.search(media) or "\\" in media:
        raise UserError(f"media {media!r} must be a path with forward slashes, without control characters")
    path = PurePosixPath(media)
    if bounds and (path.is_absolute() or ".." in path.parts):
        raise UserError(f"media {media!r} must be relative to the corpus's root, without ..{_ALLOW}")
    if bounds:
        try:
            inside = (bounds / path).resolve().is_relative_to(bounds)
        except (OSError, RuntimeError):
            raise UserError(f"media {media!r} is a link that leads nowhere") from None
        if not inside:
            raise UserError(f"media {media!r} is a link that leads out of the corpus's root{_ALLOW}")
    return path.as_posix()


def _parse_crop(crop: str) -> str:
    if crop in ("", "left", "right"):
        return crop
    try:
        left, top, right, bottom = map(float, crop.split())
    except ValueError:
        left = right = math.nan
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise UserError(
            f"crop {crop!r} must be left, right, or the left, top, right and bottom edges as"
            f" fractions of width and height, such as 0.5 0 1 1"
        )
    return " ".join(crop.split())


def _one_line(cell: str) -> str:
    """White space as single spaces, as a cell with line breaks is still one utterance."""
    return " ".join(cell.split())


def _agree(first_rows: dict[tuple[str, str], Row], row: Row, key: tuple[str, str], column: str) -> None:
    """UserError if the first row of the same key has another cell in this column."""
    first = first_rows.setdefault(key, row)
    here, there = _one_line(row.cells[column]), _one_line(first.cells[column])
    if here != there:
        raise UserError(f"{column} {here!r} does not agree with {there!r} on line {first.line}")


def _in_order(found: Iterable[tuple[Row, Annotation]]) -> list[Annotation]:
    """Annotations by split and dialogue, with their positions."""
    dialogues: dict[tuple[int, str], list[tuple[int | None, Annotation]]] = {}
    for row, annotation in found:
        utterance = annotation.utterance
        key = SPLITS.index(utterance.split), utterance.dialogue
        dialogues.setdefault(key, []).append((whole_number(row.cells["utterance"]), annotation))
    ordered = []
    for _, numbered in sorted(dialogues.items()):
        if all(number is not None for number, _ in numbered):
            numbered.sort(key=lambda pair: pair[0] or 0)
        for position, (_, annotation) in enumerate(numbered):
            utterance = dataclasses.replace(annotation.utterance, position=position)
            ordered.append(annotation._replace(utterance=utterance))
    return ordered
