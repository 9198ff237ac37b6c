"""An HDF5 file, opened so that nothing in it can do harm, whoever wrote it and whatever became of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.errors import UserError
from pipeline.store.opening.chunks import RefusedError
from pipeline.store.opening.contents import ArrayKind, check_content, find_arrays, read_attributes
from pipeline.store.opening.source import BytesRefusedError, CheckedBytes


class DamagedFileError(Exception):
    """A file whose content is not what was written, or which holds what is not read here."""


class H5File:
    """An open file, its structure checked; what is damaged inside an array is found when that is read."""

    def __init__(self, path: Path, file: h5py.File, source: CheckedBytes) -> None:
        """DamagedFileError if anything is in the file that may not be."""
        self._path, self._file, self._source = path, file, source
        with _telling_damage(path, source):
            self.attrs: dict[str, Any] = read_attributes(file, source)
            self.arrays: dict[str, ArrayKind] = find_arrays(file, source)
            """By their full names, sorted."""

    @property
    def sealed(self) -> bool:
        """Whether its bytes can be held against what was written."""
        return self._source.sealed

    def check_bytes(self) -> list[str]:
        """Where the bytes are not those that were written, in words; nothing is known of an unsealed file."""
        with _telling_damage(self._path, self._source):
            return self._source.check_all()

    def read(self, name: str) -> np.ndarray:
        """An array, text as ``str`` objects; DamagedFileError if it is absent or cannot be read."""
        with _telling_damage(self._path, self._source, f"{name} "):
            dataset = self._file[name]
            check_content(dataset.id, self._source)
            if h5py.check_string_dtype(dataset.dtype):
                return np.asarray(dataset.asstr("utf-8")[()], dtype=object)
            return np.asarray(dataset[()])


@contextmanager
def open_h5(path: Path) -> Iterator[H5File]:
    """Open a file to read.

    FileNotFoundError; UserError if the file system does not give it now; DamagedFileError if HDF5 cannot
    read it, if its bytes are not those that were written, or if it holds links, external storage, virtual
    data sets, filters other than gzip, shuffle and Fletcher-32, types other than text and numbers, or arrays
    larger than its size allows.
    """
    with ExitStack() as stack:
        with _telling_damage(path):
            source = stack.enter_context(CheckedBytes(path))
        with _telling_damage(path, source):
            file = stack.enter_context(h5py.File(source, "r"))
        yield H5File(path, file, source)


@contextmanager
def _telling_damage(path: Path, source: CheckedBytes | None = None, where: str = "") -> Iterator[None]:
    """Turn what is wrong with a file's content into a DamagedFileError, and with its disk into a UserError.

    Of the file itself the latter says nothing: it may be sound.
    """
    try:
        yield
        if source and source.trouble:  # HDF5 may do without what it tried to read
            raise source.trouble
    except (FileNotFoundError, MemoryError):
        raise
    except RefusedError as error:
        raise DamagedFileError(f"{path}: {where}{error}") from None
    except Exception as error:  # h5py raises whatever a damaged object leads it to
        trouble = source.trouble if source else None
        if source is None and isinstance(error, OSError) and not isinstance(error, BytesRefusedError):
            trouble = error
        if trouble:
            raise UserError(
                f"{path}: cannot be read now ({trouble.strerror or trouble}), which says nothing of what it"
                " holds; mend its permissions or its disk, and run this again"
            ) from error
        words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        reason = (source.refused if source else "") or " ".join(words.split()) or type(error).__name__
        raise DamagedFileError(f"{path}: {reason}") from error
