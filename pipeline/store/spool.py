"""Rows put aside in a file, so that a stage's memory does not grow with its corpus."""

from __future__ import annotations

import os
import tempfile
from math import prod
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.store.atomic import write_all


class Spool:
    """Rows of numbers of one type and shape, in a file without a name that goes when they are done with.

    It is sliced like an array, and reads the rows that are asked for.
    """

    def __init__(self, folder: Path, empty: np.ndarray) -> None:
        """``empty`` [0, ...] has the rows' type and shape; ``folder`` is where the file is."""
        self._folder = folder
        self.dtype, self.shape = empty.dtype, empty.shape
        self._row_bytes = empty.dtype.itemsize * prod(empty.shape[1:])
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - lives as long as this

    def append(self, rows: np.ndarray) -> None:
        """Add rows [n, ...] below the others; UserError where the disk is full."""
        try:
            write_all(self._file, np.ascontiguousarray(rows, self.dtype).reshape(-1).data)
        except OSError as error:
            raise UserError(f"{self._folder}: cannot be written ({error.strerror}); free space") from error
        self.shape = (self.shape[0] + len(rows), *self.shape[1:])

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self.shape[0])
        content = os.pread(self._file.fileno(), (stop - start) * self._row_bytes, start * self._row_bytes)
        return np.frombuffer(content, self.dtype).reshape(-1, *self.shape[1:])
