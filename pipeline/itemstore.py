"""Content-addressed store of finished items, one HDF5 file each: ``<root>/<stage>/<key[:2]>/<key>.h5``.

An item is one dialogue of one stage.  Its name is the key of the work that made it, so nothing in
the store is ever out of date, several writers can share it, and a lab can point every clone at one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.h5 import Arrays, DamagedFileError, read_h5, write_h5

SCHEMA = 1


@dataclass(frozen=True)
class ItemStore:
    """The items of one stage."""

    root: Path
    stage: str

    def path(self, key: str) -> Path:
        """Where the item of a key is or would be."""
        return self.root / self.stage / key[:2] / f"{key}.h5"

    def get(self, key: str) -> Arrays | None:
        """The item's arrays, verified; None if it is absent, damaged or of another version."""
        try:
            arrays, attrs = read_h5(self.path(key))
        except (FileNotFoundError, DamagedFileError):
            return None
        return arrays if (attrs["schema"], attrs["key"]) == (SCHEMA, key) else None

    def put(self, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep an item under its key: all of it or, with an error, nothing."""
        try:
            write_h5(self.path(key), arrays, {"schema": SCHEMA, "key": key, "stage": self.stage})
        except OSError as error:
            raise UserError(
                f"item store {self.root}: cannot write ({error.strerror or error});"
                f" free space or set MULTIEMO_STORE to a folder that you can write to"
            ) from error
