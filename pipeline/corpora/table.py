"""A lab's own recordings: one table of utterances beside the media files that it names.

The table is ``annotations.csv``, ``annotations.tsv`` or ``annotations.jsonl`` in the corpus's root;
docs/corpora.md describes its columns.  A table with a mistake is refused as a whole.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pipeline.corpora.annotations.cells import (
    check_gaps,
    describe_mended,
    number,
    one_line,
    plain,
    seconds,
    spelling,
)
from pipeline.corpora.annotations.corpus import SPLITS, Annotation, Corpus
from pipeline.corpora.annotations.media_names import CONTROL, MediaNames
from pipeline.corpora.annotations.order import in_order
from pipeline.corpora.annotations.rows import (
    Mistakes,
    Row,
    name_party,
    read_delimited,
    read_json_lines,
    read_lines,
)
from pipeline.errors import UserError
from pipeline.manifest import Utterance
from pipeline.params import FormatParams

CONTENT = "annotations.csv, annotations.tsv or annotations.jsonl and the media files that it names"

COLUMNS = ("dialogue", "utterance", "speaker", "text", "label", "split", "media")
OPTIONAL_COLUMNS = ("start_s", "end_s", "crop")
FILE_NAMES = ("annotations.csv", "annotations.tsv", "annotations.jsonl")
LONGEST_LABEL = 100
# Of a picture's width or height: of less, no whole pixel may be left.
THINNEST_CROP = 0.01
OTHER_NAMES_OF_SPLITS = {"val": "dev", "valid": "dev", "validation": "dev"}

_PANDAS_NUMBER = re.compile(r"^(\d+)[.,]0$")


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


def read_table(root: Path, *, outside_media: bool = False) -> list[Annotation]:
    """All utterances of a table, by split, dialogue and number (or row, where one is no number).

    ``outside_media`` lets media files lie outside the root.  Raises UserError as ``read`` does.
    """
    return read(root, Params(outside_media=outside_media)).annotations


def read(root: Path, params: Params) -> Corpus:
    """The corpus at ``root``: every annotated row is in it.

    Raises UserError with the first mistakes, one line each, by file, line and utterance.
    """
    path = _find_table(root)
    media_names = MediaNames(root, outside=params.outside_media)
    mistakes = Mistakes()
    mended: Counter[str] = Counter()
    lines: dict[str, int] = {}
    found: list[tuple[str, Annotation]] = []
    agreed: dict[tuple[str, str], tuple[str, int]] = {}
    parties: dict[frozenset[str], str] = {}
    for row in _read_rows(path, mistakes):
        cells = {column: one_line(cell) for column, cell in row.cells.items()}
        cells["utterance"] = _PANDAS_NUMBER.sub(r"\1", cells["utterance"])
        id = f"{cells['dialogue']}_{cells['utterance']}"
        with mistakes.at(f"{path}, line {row.line}, utterance {id!r}"):
            cells["speaker"] = name_party(cells["speaker"], parties)
            annotation = _parse(cells, id)
            media = media_names.find(given) if (given := row.cells["media"].strip()) else ""
            if lines.setdefault(id, row.line) != row.line:
                raise UserError(f"also stands on line {lines[id]}: keep one, or number it anew")
            utterance = annotation.utterance
            _agree(agreed, "split", utterance.dialogue, utterance.split, row.line)
            _agree(agreed, "label", spelling(utterance.label), utterance.label, row.line)
            found.append((cells["utterance"], annotation._replace(media=media)))
            mended.update(
                column
                for column, cell in row.cells.items()
                if (Path(given) != Path(media) if column == "media" else plain(cell) != cell)
            )
    mistakes.refuse()
    if not found:
        raise UserError(f"{path}: no utterances below the header")
    annotations, remarks = in_order(found)
    return Corpus(annotations, notes={}, remarks=[*describe_mended(mended), *remarks])


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
        return read_json_lines(
            path, lines, mistakes, required=COLUMNS, optional=OPTIONAL_COLUMNS, lists=["speaker"]
        )
    return read_delimited(path, lines, mistakes, required=COLUMNS, optional=OPTIONAL_COLUMNS)


def _parse(cells: dict[str, str], id: str) -> Annotation:
    """Clean cells as an annotation at position 0, its media left out; UserError with what is wrong."""
    check_gaps({column: cells[column] for column in COLUMNS})
    for column in ("dialogue", "utterance"):
        if not cells[column]:
            raise UserError(f"{column} is empty")
    for column in ("dialogue", "utterance", "speaker", "label"):
        if CONTROL.search(cells[column]):
            raise UserError(f"{column} {cells[column]!r} holds a control character")
    if cells["speaker"].startswith(("['", '["')):
        raise UserError(f"speaker {cells['speaker']!r} is a list as Python prints it: write Ann & Bob")
    label = cells["label"]
    if len(label) > LONGEST_LABEL:
        raise UserError(f"label {label!r} of {len(label):,} characters is no name of a class")
    if (number(label) or 0) % 1:
        raise UserError(f"label {label!r} is a measure: write the class that it stands for, such as negative")
    start_s, end_s = _parse_span(cells.get("start_s", ""), cells.get("end_s", ""))
    return Annotation(
        Utterance(
            id=id,
            split=_parse_split(cells["split"]),
            dialogue=cells["dialogue"],
            position=0,
            speaker=cells["speaker"],
            label=label,
            text=cells["text"],
        ),
        media="",
        start_s=start_s,
        end_s=end_s,
        crop=parse_crop(cells.get("crop", "")),
    )


def _parse_split(split: str) -> str:
    name = split.lower()
    name = OTHER_NAMES_OF_SPLITS.get(name, name)
    if name not in SPLITS:
        others = ", ".join(OTHER_NAMES_OF_SPLITS)
        raise UserError(f"split {split!r} is none of {', '.join(SPLITS)} ({others} are dev)")
    return name


def _parse_span(start: str, end: str) -> tuple[float | None, float | None]:
    if not start and not end:
        return None, None
    if not start or not end:
        raise UserError("start_s and end_s must both be given, or neither for the whole file")
    try:
        start_s, end_s = seconds(start), seconds(end)
    except ValueError:
        raise UserError(
            f"start_s {start!r} and end_s {end!r} must be seconds, such as 62.5, or clock times, such as"
            f" 00:01:02.5"
        ) from None
    if not (math.isfinite(start_s) and math.isfinite(end_s)):
        raise UserError(f"start_s {start!r} and end_s {end!r} must be finite")
    if start_s < 0:
        raise UserError(f"start_s {start} lies before the file's start")
    if end_s <= start_s:
        raise UserError(f"end_s {end} must be greater than start_s {start}")
    return start_s, end_s


def parse_crop(crop: str) -> str:
    """The column *crop*; UserError for what it does not know."""
    if crop in ("", "left", "right"):
        return crop
    edges = crop.replace(",", ".").split()
    try:
        left, top, right, bottom = map(float, edges)
    except ValueError:
        left = right = math.nan
    if not (
        0 <= left < right <= 1
        and 0 <= top < bottom <= 1
        and min(right - left, bottom - top) > THINNEST_CROP - 1e-9  # 0.03 - 0.02 is less than 0.01
    ):
        raise UserError(
            f"crop {crop!r} must be left, right, or the left, top, right and bottom edges as"
            f" fractions of width and height, at least {THINNEST_CROP} apart, such as 0.5 0 1 1"
        )
    return " ".join(edges)


def _agree(
    agreed: dict[tuple[str, str], tuple[str, int]], column: str, key: str, cell: str, line: int
) -> None:
    """UserError if the first row of the same key has another cell in this column."""
    there, first_line = agreed.setdefault((column, key), (cell, line))
    if cell != there:
        raise UserError(f"{column} {cell!r} does not agree with {there!r} on line {first_line}")
