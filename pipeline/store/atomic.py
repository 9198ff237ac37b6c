"""Files and folders that take their place whole: others see all of the new one or what was there before."""

from __future__ import annotations

import csv
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from types import SimpleNamespace

from pipeline.errors import UserError


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write a file in one piece; UserError if that fails, and then ``path`` is what it was."""
    with replace_file(path) as raw:
        write_all(raw, content)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text in place of what may be a link into DVC's cache; otherwise ``write_atomically``."""
    write_atomically(path, text.encode())


def write_csv(path: Path, columns: Sequence[object], rows: Iterable[Sequence[object]]) -> None:
    """Write a table likewise, as ``csv_text`` gives it."""
    write_text(path, csv_text([columns, *rows]))


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV that ends its lines by line feeds, whatever characters are in the cells.

    Python's writer quotes a carriage return only where its own lines end by one; without quotes it would be
    read as the end of a row.
    """
    lines: list[str] = []
    csv.writer(SimpleNamespace(write=lines.append), lineterminator="\r\n").writerows(rows)
    return "".join(line.removesuffix("\r\n") + "\n" for line in lines)


def write_all(raw: FileIO, content: bytes | memoryview) -> None:
    """Write all of the content where the file is now; a single ``write`` may stop at a part."""
    left = memoryview(content).cast("B")
    while left:
        left = left[raw.write(left) :]


@contextmanager
def replace_file(path: Path, lasting: bool = True) -> Iterator[FileIO]:
    """A new file that takes the place of ``path`` when the context is left without an error.

    Who may use the folder may use the file.  A ``lasting`` one is safe from a power cut from then on.
    UserError where the disk does not take it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A unique name in the same folder: a rename is atomic only within a file system, and two writers
        # of one file must not share a temporary one.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with FileIO(handle, "w+") as raw:
                yield raw
                if lasting:
                    os.fsync(handle)
            # mkstemp makes private files. In a folder such as /tmp, where everybody keeps to their own files,
            # nobody else changes it.
            folder = path.parent.stat().st_mode
            temporary.chmod(folder & (0o644 if folder & stat.S_ISVTX else 0o666))
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error});"
            f" free space or mend its folder's permissions"
        ) from error


@contextmanager
def replace_folder(path: Path) -> Iterator[Path]:
    """A new folder that takes the place of ``path`` when the context is left without an error.

    Folder and files get the permissions that the umask grants, even those that a library made private.
    A folder cannot be renamed onto another: a process that is killed between two renames leaves none under
    ``path``, but the old and the new one, both whole, in ``.<name>.<random>`` beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as temporary:
        new, old = Path(temporary, "new"), Path(temporary, "old")
        new.mkdir()
        granted = new.stat().st_mode
        yield new
        for inner in new.rglob("*"):
            inner.chmod(granted & (0o777 if inner.is_dir() else 0o666))
        try:
            if path.exists():
                path.rename(old)
            new.rename(path)
        except BaseException:
            if old.exists() and not path.exists():
                old.rename(path)
            raise
