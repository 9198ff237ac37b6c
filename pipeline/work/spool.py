"""Rows put aside in a file, so that a stage's memory does not grow with its corpus."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.store.h5 import Arrays, is_text


def stack_on_disk(parts: Iterable[Arrays], empty: Arrays, folder: Path) -> dict[str, np.ndarray | Spool]:
    """Arrays of all parts, one below the other: vectors in ``folder``, single values and text in memory.

    ``empty`` has the names, types and row shapes.
    """
    spools = {
        name: Spool(folder, array) for name, array in empty.items() if array.ndim > 1 and not is_text(array)
    }
    columns = {name: [array] for name, array in empty.items() if name not in spools}
    for part in parts:
        for name, spool in spools.items():
            spool.append(part[name])
        for name, column in columns.items():
            column.append(part[name])
    filled = {name: spool if spool.shape[0] else empty[name] for name, spool in spools.items()}
    return {name: np.concatenate(column) for name, column in columns.items()} | filled


class Spool:
    """Rows of one type and shape, kept in a file without a name that goes when they are done with."""

    def __init__(self, folder: Path, empty: np.ndarray) -> None:
        """``empty`` [0, ...] has the rows' type and shape; ``folder`` is where the file is."""
        self._folder = folder
        self.dtype, self._row = empty.dtype, empty.shape[1:]
        self._row_bytes = empty.dtype.itemsize * int(np.prod(self._row))
        self._rows = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it lives as long as the spool

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows first."""
        return (self._rows, *self._row)

    def append(self, rows: np.ndarray) -> None:
        """Add rows [n, ...] below the others; UserError where the disk is full."""
        try:
            self._file.write(np.ascontiguousarray(rows, self.dtype).reshape(-1).data)
            self._file.flush()
        except OSError as error:
            raise UserError(f"{self._folder}: cannot be written ({error.strerror}); free space") from error
        self._rows += len(rows)

    def blocks(self, rows: int) -> Iterator[np.ndarray]:
        """All rows in order, so many at a time."""
        self._file.seek(0)
        while content := self._file.read(rows * self._row_bytes):
            yield np.frombuffer(content, self.dtype).reshape(-1, *self._row)
