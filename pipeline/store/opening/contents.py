"""What an HDF5 file may hold that is read here: arrays of numbers and text in groups, all of it in the file.

HDF5 can do more: lead to other files, run plug-ins, and give arrays that fill any memory and take no place on
disk.  A file that comes from elsewhere may not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5o, h5s, h5t

from pipeline.store.opening.chunks import Chunks, RefusedError
from pipeline.store.opening.source import CheckedBytes

TEXT = np.dtype(object)
"""What stands for text as a type."""
MOST_OBJECTS = 10_000
MOST_ATTRIBUTES = 100
DEEPEST = 8
"""Groups within groups."""
MOST_TEXTS = 5_000_000
"""In one array; each becomes an object."""
MOST_BEYOND_FILE_BYTES = 512 << 20
"""By which arrays may be larger than what they take of the file: features of zeros compress well."""
LARGEST_CHUNK_BYTES = 16 << 20
"""Of an array that is smaller than that; others may be one chunk."""
_VARIABLE_TEXT = np.dtype([("length", "<u4"), ("heap", "<u8"), ("number", "<u4")])
"""How HDF5 stores an element of an array of text of varying length."""


@dataclass(frozen=True)
class ArrayKind:
    """An array before it is read."""

    dtype: np.dtype
    """``TEXT`` for any text."""
    shape: tuple[int, ...]


def find_arrays(file: h5py.File, source: CheckedBytes) -> dict[str, ArrayKind]:
    """All arrays by their full names, sorted; RefusedError if anything is in the file that may not be."""
    arrays: dict[str, ArrayKind] = {}
    stored = beyond = 0
    for number, (name, node) in enumerate(_walk(h5g.open(file.id, b"/"), "", DEEPEST)):
        if number == MOST_OBJECTS:
            raise RefusedError(f"it holds more than {MOST_OBJECTS} arrays and groups")
        if isinstance(node, h5d.DatasetID):
            try:
                arrays[name], size, taken = _examine(node, source)
            except RefusedError as error:
                raise RefusedError(f"{name} {error}") from None
            stored += taken
            beyond += max(0, size - taken)
    if stored > source.length or beyond > MOST_BEYOND_FILE_BYTES:
        raise RefusedError("its arrays are larger than its bytes allow")
    return dict(sorted(arrays.items()))


def read_attributes(file: h5py.File, source: CheckedBytes) -> dict[str, Any]:
    """The attributes of the file, each a text or a number; RefusedError if one is neither."""
    attrs: dict[str, Any] = {}
    size = 0
    names = _names(lambda note: h5a.iterate(file.id, note), MOST_ATTRIBUTES)
    for name in [each.decode(errors="surrogateescape") for each in names]:
        attribute = file.attrs.get_id(name)
        try:
            _dtype(attribute.get_type())
            if attribute.get_space().get_simple_extent_npoints() != 1:
                raise RefusedError("is not a single value")
        except RefusedError as error:
            raise RefusedError(f"attribute {name} {error}") from None
        value = np.asarray(file.attrs[name]).item()
        attrs[name] = value.decode() if isinstance(value, bytes) else value
        size += len(attrs[name]) if isinstance(attrs[name], str) else 0
        if size > source.length:
            raise RefusedError("its attributes are larger than its bytes allow")
    return attrs


def check_content(dataset: h5d.DatasetID, source: CheckedBytes) -> None:
    """RefusedError unless reading the array whole takes the memory that its type and shape say."""
    layout, varies = dataset.get_create_plist().get_layout(), _varies(dataset.get_type())
    parts: Iterable[bytes] = ()
    if layout == h5d.CHUNKED:
        chunks = Chunks(dataset, _element_bytes(dataset.get_type()), source)
        chunks.check()
        parts = chunks.contents() if varies else ()
    elif varies and dataset.get_offset() is not None:
        parts = [source.read_at(dataset.get_offset(), dataset.get_storage_size())]
    lengths = (np.frombuffer(part, _VARIABLE_TEXT)["length"].sum(dtype=np.int64) for part in parts)
    if sum(map(int, lengths)) > source.length:
        raise RefusedError("has more text than the file has bytes")


def _walk(group: h5g.GroupID, prefix: str, deepest: int) -> Iterator[tuple[str, h5g.GroupID | h5d.DatasetID]]:
    """What is in a group, and in the groups within."""
    for link in _names(group.links.iterate, MOST_OBJECTS):
        name = prefix + link.decode(errors="backslashreplace")
        if group.links.get_info(link).type != h5l.TYPE_HARD:
            raise RefusedError(f"{name} is a link to somewhere else")
        node = h5o.open(group, link)
        yield name, node
        if isinstance(node, h5g.GroupID):
            if not deepest:
                raise RefusedError(f"{name} lies too deep")
            yield from _walk(node, f"{name}/", deepest - 1)
        elif not isinstance(node, h5d.DatasetID):
            raise RefusedError(f"{name} is neither an array nor a group")


def _names(iterate: Callable[[Callable[[bytes], object]], object], most: int) -> list[bytes]:
    """The names that an iteration gives; RefusedError, before it ends, if there are more than ``most``."""
    names: list[bytes] = []

    def note(name: bytes, *_: object) -> bool | None:
        names.append(name)
        return True if len(names) > most else None

    iterate(note)
    if len(names) > most:
        raise RefusedError(f"it holds more than {most} attributes, arrays or groups in one place")
    return names


def _examine(dataset: h5d.DatasetID, source: CheckedBytes) -> tuple[ArrayKind, int, int]:
    """What the array is, its size in bytes, and how many of the file it takes."""
    plist = dataset.get_create_plist()
    layout = plist.get_layout()
    if plist.get_external_count() or layout not in (h5d.CONTIGUOUS, h5d.CHUNKED, h5d.COMPACT):
        raise RefusedError("lies in other files (external storage or a virtual data set)")
    kind, space = dataset.get_type(), dataset.get_space()
    dtype, element_bytes = _dtype(kind), _element_bytes(kind)
    if space.get_simple_extent_type() not in (h5s.SCALAR, h5s.SIMPLE):
        raise RefusedError("has no values")
    shape = space.get_simple_extent_dims()
    size = element_bytes * prod(shape)
    if (dtype == TEXT and prod(shape) > MOST_TEXTS) or (_varies(kind) and layout == h5d.COMPACT):
        raise RefusedError("holds text in a way that is not read here")
    if layout == h5d.CHUNKED:
        chunks = Chunks(dataset, element_bytes, source)
        chunks.filters()
        if chunks.chunk_bytes > max(size, LARGEST_CHUNK_BYTES):
            raise RefusedError("has chunks that are larger than itself")
        return ArrayKind(dtype, shape), size, chunks.stored_bytes()
    return ArrayKind(dtype, shape), size, dataset.get_storage_size()


def _varies(kind: h5t.TypeID) -> bool:
    """Whether it is text of varying length."""
    return kind.get_class() == h5t.STRING and kind.is_variable_str()


def _element_bytes(kind: h5t.TypeID) -> int:
    """Of an element in the file."""
    return _VARIABLE_TEXT.itemsize if _varies(kind) else kind.get_size()


def _dtype(kind: h5t.TypeID) -> np.dtype:
    """The type as NumPy has it."""
    if kind.get_class() == h5t.STRING:
        return TEXT
    if kind.get_class() in (h5t.INTEGER, h5t.FLOAT, h5t.ENUM):
        dtype: np.dtype = kind.dtype
        if dtype.kind in "iufb" and not dtype.metadata:
            return dtype
    raise RefusedError("is neither text nor numbers")
