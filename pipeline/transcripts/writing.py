"""Recordings to files of one format: one file each, or a folder of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import UserError
from pipeline.exports.shared.file_names import file_name
from pipeline.store.atomic import write_atomically
from pipeline.transcripts.predicted import Recording, writers


def write_recordings(path: Path, recordings: Sequence[Recording], replace: bool = False) -> list[Path]:
    """Write one recording to ``path``, several into a folder of its name without the suffix; the files.

    UserError for a suffix that no writer has; and, unless they may be replaced, for files that are there: an
    annotation of the same film has the same name, and is somebody's work.
    """
    known = writers()
    found = next((suffix for suffix in known if suffix.lower() == path.suffix.lower()), None)
    if found is None:
        raise UserError(f"{path}: give a name that ends in {', '.join(['.csv', *known])}")
    paths = [path]
    if len(recordings) > 1:
        paths = [path.with_suffix("") / f"{file_name(each.name)}{found}" for each in recordings]
    if not replace and (there := [target for target in paths if target.exists()]):
        raise UserError(
            f"{there[0]}: is there, and may be an annotation by hand; name another with -o, or delete it"
        )
    for each, target in zip(recordings, paths, strict=True):
        write_atomically(target, known[found].write(each.shown()))
    return paths
