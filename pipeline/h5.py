"""HDF5 files of named arrays: written whole, atomically, byte-identical for identical content."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pipeline.errors import UserError

Arrays = dict[str, np.ndarray]

CONTENT_SHA256 = "content_sha256"


class DamagedFileError(Exception):
    """A file whose content is not what was written."""


def content_digest(arrays: Mapping[str, np.ndarray], attrs: Mapping[str, Any]) -> str:
    """SHA-256 over names, types, shapes and values: what a file says, however it is laid out."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        if is_text(array):
            text = "\0".join(array.ravel().tolist()).encode()
            digest.update(f"{name} text {array.shape} {len(text)}\n".encode() + text)
        else:
            digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).reshape(-1).data)
    for name in sorted(set(attrs) - {CONTENT_SHA256}):
        digest.update(f"{name}={attrs[name]}\n".encode())
    return digest.hexdigest()


def write_h5(path: Path, arrays: Mapping[str, np.ndarray], attrs: Mapping[str, str | int]) -> None:
    """Write arrays and attributes so that ``path`` holds either all of them or what it held before.

    Names may hold slashes (``text/features``).  Text arrays become variable-length UTF-8: one very long
    line then costs its own length and not that of every row.  Raises UserError where the file cannot
    be written.
    """
    # Built in memory and written by ordinary I/O: a full disk is then an ordinary error, where HDF5
    # would leave objects behind that crash the process at its end.
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        for array_name in sorted(arrays):
            _write_array(file, array_name, np.asarray(arrays[array_name]))
        for attr_name in sorted(attrs):
            file.attrs[attr_name] = attrs[attr_name]
        file.attrs[CONTENT_SHA256] = content_digest(arrays, attrs)
    write_atomically(path, image.getbuffer())


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that others see all of it or what was there before; UserError if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_and_rename(path, content)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error});"
            f" free space or mend its folder's permissions"
        ) from error


def read_h5(path: Path, names: Iterable[str] | None = None) -> tuple[Arrays, dict[str, Any]]:
    """The named arrays (all, if none are named) and the attributes of a file of ``write_h5``.

    Text comes as arrays of ``str`` objects.  Raises FileNotFoundError, or DamagedFileError where HDF5
    cannot read the file, an array is absent or, when all arrays are read, their digest is not the one
    that was written with them.
    """
    try:
        with h5py.File(path, "r") as file:
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


def _write_array(file: h5py.File, name: str, array: np.ndarray) -> None:
    if is_text(array):
        strings = array.astype(object)
        dataset = file.create_dataset(name, data=strings, dtype=h5py.string_dtype(), track_times=False)
    else:
        # Checksums need chunks, and chunks need at least one element; times would change the bytes.
        checksums = bool(array.size) or None
        dataset = file.create_dataset(name, data=array, track_times=False, fletcher32=checksums)
    # Otherwise its place in the file, and so the bytes, depend on when Python lets go of the dataset.
    dataset.flush()


def _read_array(dataset: h5py.Dataset) -> np.ndarray:
    if h5py.check_string_dtype(dataset.dtype):
        return np.asarray(dataset.asstr()[()], dtype=object)
    return np.asarray(dataset[()])


def _write_and_rename(path: Path, content: bytes | memoryview) -> None:
    # A unique name in the same folder: a rename is atomic only within a file system, and two writers
    # of one file must not share a temporary one.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with open(handle, "wb") as file:  # noqa: PTH123 (a descriptor has no path)
            file.write(content)
            file.flush()
            os.fsync(handle)
        # mkstemp makes private files; who may use the folder may use the file.
        temporary.chmod(path.parent.stat().st_mode & 0o666)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
