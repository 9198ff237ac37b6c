"""annotations.csv of format ``table`` from imported rows, what is known of their origin beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.corpora import table
from pipeline.errors import UserError
from pipeline.store.atomic import write_atomically, write_csv, write_text
from pipeline.store.keys import file_digest
from pipeline.transcripts.importing import Imported, Row

VOTES, ORIGIN = "votes.csv", "annotations.import.json"


def check_target(path: Path, force: bool) -> dict[str, str]:
    """The split of each dialogue of a table that is to be replaced, empty if there is none.

    UserError for a name that the format does not know, for a table or somebody's votes beside it, or for one
    that may not be replaced.
    """
    if path.name != "annotations.csv":
        raise UserError(f"{path}: a corpus of format table is read from annotations.csv: name it so")
    for name in table.FILE_NAMES:
        if name != path.name and (path.parent / name).exists():
            raise UserError(f"{path.parent / name}: stands beside, and a corpus has one table; move it away")
    votes = path.parent / VOTES
    if votes.exists() and not (path.parent / ORIGIN).exists():
        raise UserError(f"{votes}: stands there, and no import wrote it; move it away")
    if not path.exists():
        return {}
    if not force:
        raise UserError(
            f"{path}: is there already; --force replaces it, and keeps the splits of its dialogues"
        )
    annotations = table.read_table(path.parent, outside_media=True)
    return {each.utterance.dialogue: each.utterance.split for each in annotations}


def write_table(
    path: Path, imported: Imported, splits: Mapping[str, str], options: Mapping[str, Any]
) -> bool:
    """Write the table, the votes and the record of the import, and read the table as the manifest will.

    Whether media, or what they are links to, lie outside of the table's folder, which the corpus's entry must
    then allow.
    """
    media = {row.media: _relative(row.media, path.parent) for row in imported.rows if row.media}
    bounds = path.parent.resolve()
    outside = not all(film.resolve().is_relative_to(bounds) for film in media)
    rows = [
        (
            *(row.dialogue, row.number, row.speaker, row.text, row.label, splits[row.dialogue]),
            media[row.media] if row.media else "",
            *((f"{row.start_ms / 1000:.3f}", f"{row.end_ms / 1000:.3f}") if row.media else ("", "")),
            row.crop,
        )
        for row in imported.rows
    ]
    with _restored_on_error(path, path.parent / VOTES, path.parent / ORIGIN):
        _write(path, rows, imported, options)
        _check(path, imported.rows, outside)
    return outside


@contextmanager
def _restored_on_error(*paths: Path) -> Iterator[None]:
    """Put files back as they were, or away, where what replaces them turns out to be wrong."""
    before = {path: path.read_bytes() if path.exists() else None for path in paths}
    try:
        yield
    except BaseException:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                write_atomically(path, content)
        raise


def _write(
    path: Path, rows: Sequence[Sequence[object]], imported: Imported, options: Mapping[str, Any]
) -> None:
    write_csv(path, (*table.COLUMNS, *table.OPTIONAL_COLUMNS), rows)
    voted = [row for row in imported.rows if row.votes]
    raters = sorted({rater for row in voted for rater in row.votes})
    if voted:
        votes = [(row.dialogue, row.number, *(row.votes.get(rater, "") for rater in raters)) for row in voted]
        write_csv(path.parent / VOTES, ("dialogue", "utterance", *raters), votes)
    elif (path.parent / ORIGIN).exists():  # of an import before this one
        (path.parent / VOTES).unlink(missing_ok=True)
    record = {
        "inputs": {each.path.as_posix(): file_digest(each.path) for each in imported.transcripts},
        "options": options,
        "counts": imported.counts,
    }
    text = json.dumps(record, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    write_text(path.parent / ORIGIN, text)


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _check(path: Path, rows: Sequence[Row], outside: bool) -> None:
    """Read the table; UserError if it is not what was to be written."""
    read = table.read_table(path.parent, outside_media=outside)
    found = sorted((each.utterance.id, each.utterance.text, each.utterance.speaker) for each in read)
    meant = sorted((f"{row.dialogue}_{row.number}", row.text, row.speaker) for row in rows)
    if found != meant:
        first = next(pair for pair in zip(found, meant, strict=False) if pair[0] != pair[1])
        raise UserError(f"{path}: reads {first[0]} where {first[1]} was meant; please report this")
