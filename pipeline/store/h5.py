"""HDF5 files of named arrays: written whole, atomically, byte-identical for identical content."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
from h5py import h5a, h5d, h5p, h5s, h5t

from pipeline.errors import UserError

Arrays = dict[str, np.ndarray]

CONTENT_SHA256 = "content_sha256"
BLOCK_ROWS = 1000
# Files are written whole and never again, so readers need no lock; a file server may have none to give.
open_to_read = partial(h5py.File, mode="r", locking=False)


class DamagedFileError(Exception):
    """A file whose content is not what was written."""


class Column(Protocol):
    """Rows that need not lie in memory all at once."""

    @property
    def dtype(self) -> np.dtype:
        """Type of their values; no text."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows first; there is at least one."""
        ...

    def blocks(self, rows: int) -> Iterator[np.ndarray]:
        """All rows in order, so many at a time."""
        ...


def content_digest(arrays: Mapping[str, np.ndarray | Column], attrs: Mapping[str, Any]) -> str:
    """SHA-256 over names, types, shapes and values: what a file says, however it is laid out."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        if isinstance(array, np.ndarray) and is_text(array):
            text = "\0".join(array.ravel().tolist()).encode()
            digest.update(f"{name} text {array.shape} {len(text)}\n".encode() + text)
        else:
            digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            for block in [array] if isinstance(array, np.ndarray) else array.blocks(BLOCK_ROWS):
                digest.update(np.ascontiguousarray(block).reshape(-1).data)
    for name in sorted(set(attrs) - {CONTENT_SHA256}):
        digest.update(f"{name}={attrs[name]}\n".encode())
    return digest.hexdigest()


def write_h5(
    path: Path,
    arrays: Mapping[str, np.ndarray | Column],
    attrs: Mapping[str, str | int],
    *,
    lasting: bool = True,
) -> None:
    """Write arrays and attributes so that ``path`` holds either all of them or what it held before.

    Names may hold slashes (``text/features``).  Text arrays become variable-length UTF-8: one very long
    line then costs its own length and not that of every row.  Raises UserError where the file cannot
    be written.

    A ``lasting`` file is safe from a power cut once it is written, and HDF5 verifies each part of it that
    is read alone.  One that is not, and which is only ever read whole, is written several times faster; a
    power cut may leave it damaged under its final name, which ``read_h5`` tells.
    """
    with _replacement(path, lasting) as raw:
        image = _Image(raw)
        with h5py.File(image, "w") as file:
            for array_name in sorted(arrays):
                _write_array(file, array_name, arrays[array_name], image, checksums=lasting)
            for attr_name in sorted(attrs):
                _write_attribute(file, attr_name, attrs[attr_name])
            _write_attribute(file, CONTENT_SHA256, content_digest(arrays, attrs))
        image.raise_error()


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that others see all of it or what was there before; UserError if that fails."""
    with _replacement(path) as raw:
        _write_all(raw, content)


def read_h5(path: Path, names: Iterable[str] | None = None) -> tuple[Arrays, dict[str, Any]]:
    """The named arrays (all, if none are named) and the attributes of a file of ``write_h5``.

    Text comes as arrays of ``str`` objects.  Raises FileNotFoundError, or DamagedFileError where HDF5
    cannot read the file, an array is absent or, when all arrays are read, their digest is not the one
    that was written with them.
    """
    try:
        with open_to_read(path) as file:
            wanted = list_arrays(file) if names is None else list(names)
            arrays = {name: _read_array(file[name]) for name in wanted}
            attrs = dict(file.attrs)
    except FileNotFoundError:
        raise
    except (OSError, KeyError, RuntimeError, UnicodeDecodeError) as error:
        raise DamagedFileError(f"{path}: {error}") from error
    if names is None and attrs.get(CONTENT_SHA256) != content_digest(arrays, attrs):
        raise DamagedFileError(f"{path}: the content does not match its digest")
    return arrays, attrs


def list_arrays(file: h5py.File) -> list[str]:
    """Full names of all arrays in an open file, sorted."""
    found: list[str] = []
    file.visititems(lambda name, node: found.append(name) if isinstance(node, h5py.Dataset) else None)
    return sorted(found)


def is_text(array: np.ndarray) -> bool:
    """Whether an array holds text: NumPy's own fixed-width kind, or Python's strings, as read from files."""
    return array.dtype.kind in "UO"


def _write_array(
    file: h5py.File, name: str, array: np.ndarray | Column, image: _Image, checksums: bool
) -> None:
    if not isinstance(array, np.ndarray):
        dataset = file.create_dataset(
            name, array.shape, array.dtype, chunks=True, track_times=False, fletcher32=checksums
        )
        start = 0
        # Whole chunks: HDF5 would write one that is filled bit by bit over and over again.
        for block in array.blocks(dataset.chunks[0]):
            dataset[start : start + len(block)] = block
            start += len(block)
            image.raise_error()
        # Otherwise its place in the file, and so the bytes, depend on when Python lets go of the dataset.
        dataset.flush()
    elif is_text(array):
        _write_whole(file, name, array.astype(object), h5py.string_dtype())
    elif checksums and array.size:  # checksums need chunks, and chunks need at least one element
        file.create_dataset(name, data=array, track_times=False, fletcher32=True).flush()  # as above
    else:
        _write_whole(file, name, array, array.dtype)
    image.raise_error()


# An item is small, and for one h5py's ``create_dataset`` and ``attrs`` take 1.6 and 3 times as long as the
# two functions that follow, which write the same.


def _write_whole(file: h5py.File, name: str, array: np.ndarray, kind: np.dtype) -> None:
    """Write an array in one piece, without checksums; ``kind`` is its type in the file."""
    properties, link = h5p.create(h5p.DATASET_CREATE), h5p.create(h5p.LINK_CREATE)
    properties.set_obj_track_times(False)  # times would change the bytes
    link.set_create_intermediate_group(True)
    shape = h5s.create_simple(array.shape)
    dataset = h5d.create(file.id, name.encode(), h5t.py_create(kind, logical=True), shape, properties, link)
    dataset.write(h5s.ALL, h5s.ALL, np.asarray(array, order="C"))


def _write_attribute(file: h5py.File, name: str, value: str | int) -> None:
    kind = h5py.string_dtype() if isinstance(value, str) else np.dtype(np.int64)
    attribute = h5a.create(file.id, name.encode(), h5t.py_create(kind, logical=True), h5s.create(h5s.SCALAR))
    attribute.write(np.array(value, kind))


def _read_array(dataset: h5py.Dataset) -> np.ndarray:
    if h5py.check_string_dtype(dataset.dtype):
        return np.asarray(dataset.asstr()[()], dtype=object)
    return np.asarray(dataset[()])


class _Image:
    """The file that HDF5 writes to, to which writing never fails: what the disk does not take is kept.

    HDF5 leaves objects behind when its file fails it, and believes what it reads back; either may crash
    the process.  So it is to find what it wrote, until ``raise_error`` is called in between.
    """

    def __init__(self, raw: FileIO) -> None:
        self._raw = raw
        self._place = self._size = 0
        self._kept: list[tuple[int, bytes]] = []
        """Place and content, in the order in which they were written."""
        self._error: OSError | None = None

    def raise_error(self) -> None:
        """Raise the first error that the disk gave, if it gave one."""
        if self._error is not None:
            raise self._error

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = offset + (self._size if whence == os.SEEK_END else 0)
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, size: int) -> bytes:  # h5py takes nothing for a file that has none
        content = bytearray(size)
        self.readinto(memoryview(content))
        return bytes(content)

    def readinto(self, buffer: memoryview) -> int:
        start, end = self._place, self._place + len(buffer)
        self._raw.seek(start)
        self._raw.readinto(buffer)
        for place, content in self._kept:
            first, last = max(start, place), min(end, place + len(content))
            if first < last:
                buffer[first - start : last - start] = content[first - place : last - place]
        return len(buffer)

    def write(self, content: memoryview) -> int:
        try:
            self.raise_error()
            self._raw.seek(self._place)
            _write_all(self._raw, content)
        except OSError as error:
            self._error = self._error or error
            self._kept.append((self._place, bytes(content)))
        self._place += len(content)
        self._size = max(self._size, self._place)
        return len(content)

    def truncate(self, size: int) -> int:
        self._size = size
        try:
            self._raw.truncate(size)
        except OSError as error:
            self._error = self._error or error
        return size

    def flush(self) -> None:
        pass


def _write_all(raw: FileIO, content: bytes | memoryview) -> None:
    left = memoryview(content).cast("B")
    while left:
        left = left[raw.write(left) :]


@contextmanager
def _replacement(path: Path, lasting: bool = True) -> Iterator[FileIO]:
    """A new file that takes the place of ``path`` when the context is left without an error."""
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
            # mkstemp makes private files; who may use the folder may use the file.  But in a folder such as
            # /tmp, where everybody keeps to their own files, nobody else changes it.
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
