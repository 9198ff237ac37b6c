"""HDF5 files of named arrays: written whole, atomically, byte-identical for identical content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from io import FileIO
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5s, h5t

from pipeline.store.atomic import replace_file, write_all
from pipeline.store.opening.file import DamagedFileError as DamagedFileError
from pipeline.store.opening.file import open_h5
from pipeline.store.seal import append_seal
from pipeline.store.spool import Spool

Arrays = dict[str, np.ndarray]

CONTENT_SHA256 = "content_sha256"
BLOCK_BYTES = 4 << 20


def content_digest(arrays: Mapping[str, np.ndarray | Spool], attrs: Mapping[str, Any]) -> str:
    """SHA-256 over names, types, shapes and values: what a file says, however it is laid out."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        if isinstance(array, np.ndarray) and is_text(array):
            text = "\0".join(array.ravel().tolist()).encode()
            digest.update(f"{name} text {array.shape} {len(text)}\n".encode() + text)
        else:
            digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            if isinstance(array, np.ndarray) and not array.shape:  # a single number
                array = array[None]
            for rows in _blocks(array):
                digest.update(np.ascontiguousarray(array[rows]).reshape(-1).data)
    for name in sorted(set(attrs) - {CONTENT_SHA256}):
        # h5py gives bytes that are no UTF-8, as a damaged file may have, in an escaped form.
        digest.update(f"{name}={attrs[name]}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def write_h5(
    path: Path,
    arrays: Mapping[str, np.ndarray | Spool],
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
    attrs = {**attrs, CONTENT_SHA256: content_digest(arrays, attrs)}
    with replace_file(path, lasting) as raw:
        image = _Image(raw)
        with h5py.File(image, "w") as file:
            for name in sorted(arrays):
                _write_array(file, name, arrays[name], image, checksums=lasting)
            for name in sorted(attrs):
                _write_attribute(file, name, attrs[name])
        image.raise_error()
        append_seal(raw)


def read_h5(path: Path, names: Iterable[str] | None = None) -> tuple[Arrays, dict[str, Any]]:
    """The named arrays (all, if none are named) and the attributes of a file, whoever wrote it.

    Text comes as arrays of ``str`` objects.  Raises FileNotFoundError, or DamagedFileError where HDF5
    cannot read the file, it holds what ``open_h5`` refuses, an array is absent or, when all arrays are read,
    their digest is not the one that was written with them.
    """
    with open_h5(path) as file:
        arrays = {name: file.read(name) for name in (file.arrays if names is None else names)}
    if names is None and file.attrs.get(CONTENT_SHA256) != content_digest(arrays, file.attrs):
        raise DamagedFileError(f"{path}: the content does not match its digest")
    return arrays, file.attrs


def is_text(array: np.ndarray) -> bool:
    """Whether an array holds text: NumPy's own fixed-width kind, or Python's strings, as read from files."""
    return array.dtype.kind in "UO"


def _write_array(
    file: h5py.File, name: str, array: np.ndarray | Spool, image: _Image, checksums: bool
) -> None:
    create = partial(file.create_dataset, name, track_times=False)  # times would change the bytes
    if isinstance(array, np.ndarray) and is_text(array):
        create(data=array.astype(object), dtype=h5py.string_dtype())
    elif checksums and prod(array.shape) and array.shape:  # checksums need chunks, and chunks need rows
        dataset = create(array.shape, array.dtype, chunks=True, fletcher32=True)
        # Whole chunks: HDF5 would write one that is filled bit by bit over and over again.
        for rows in _blocks(array, multiple=dataset.chunks[0]):
            dataset[rows] = array[rows]
            image.raise_error()
        # Otherwise its place in the file, and so the bytes, depend on when Python lets go of the dataset.
        dataset.flush()
    else:
        create(data=array if isinstance(array, np.ndarray) else array[:])
    image.raise_error()


def _write_attribute(file: h5py.File, name: str, value: str | int) -> None:
    """As ``file.attrs[name] = value`` in a third of the time, of which an item takes the most."""
    kind = h5py.string_dtype() if isinstance(value, str) else np.dtype(np.int64)
    attribute = h5a.create(file.id, name.encode(), h5t.py_create(kind, logical=True), h5s.create(h5s.SCALAR))
    attribute.write(np.array(value, kind))


def _blocks(array: np.ndarray | Spool, multiple: int = 1) -> Iterator[slice]:
    """Slices of few megabytes; all but the last have a ``multiple`` of rows."""
    count, *row = array.shape
    row_bytes = max(1, array.dtype.itemsize * prod(row))
    step = max(1, BLOCK_BYTES // row_bytes // multiple) * multiple
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


class _Image(FileIO):
    """The file that HDF5 writes to, to which writing never fails: what the disk does not take is kept.

    HDF5 leaves objects behind when its file fails it, and believes what it reads back; either may crash
    the process.  So it is to find what it wrote, until ``raise_error`` is called in between.
    """

    def __init__(self, raw: FileIO) -> None:
        super().__init__(raw.fileno(), "w+", closefd=False)
        self._raw = raw
        self._error: OSError | None = None
        self._kept: list[tuple[int, bytes]] = []
        """Place and content, in the order in which they were written."""

    def raise_error(self) -> None:
        """Raise the first error that the disk gave, if it gave one."""
        if self._error is not None:
            raise self._error

    def write(self, content: Any) -> int:
        place = self.tell()
        try:
            self.raise_error()
            write_all(self._raw, content)
        except OSError as error:
            self._error = error
            self._kept.append((place, bytes(content)))
            self.seek(place + len(content))
        return len(content)

    def readinto(self, buffer: Any) -> int:
        start, end = self.tell(), self.tell() + len(buffer)
        super().readinto(buffer)
        for place, content in self._kept:
            first, last = max(start, place), min(end, place + len(content))
            if first < last:
                buffer[first - start : last - start] = content[first - place : last - place]
        return len(buffer)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size or 0
