"""Content-addressed store of finished items, one HDF5 file each: ``<root>/<stage>/<key[:2]>/<key>.h5``.

An item is one dialogue of one stage.  Its name is the key of the work that made it, so nothing in
the store is ever out of date, several writers can share it, and a lab can point every clone at one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.store.h5 import Arrays, DamagedFileError, read_h5, write_h5

SCHEMA = 1
DAY_S = 86_400
USE_KNOWN_TO_S = 3600
"""How much later than an item's time on disk it may have been used last."""


@dataclass(frozen=True)
class ItemStore:
    """The items of one stage."""

    root: Path
    stage: str

    def path(self, key: str) -> Path:
        """Where the item of a key is or would be."""
        return self.root / self.stage / key[:2] / f"{key}.h5"

    def read(self, key: str) -> Arrays | None:
        """The item's arrays, verified; None if it is absent, damaged or of another version.

        UserError where it is there, and the file system does not give it now.
        """
        try:
            arrays, attrs = read_h5(self.path(key))
        except (FileNotFoundError, DamagedFileError):
            return None
        return arrays if (attrs.get("schema"), attrs.get("key")) == (SCHEMA, key) else None

    def get(self, key: str) -> Arrays | None:
        """The same for use: an item's time on disk is that of its last use, which housekeeping asks."""
        arrays = self.read(key)
        if arrays is not None:
            path = self.path(key)
            # Not each time, to spare the disk; and whoever may read an item need not be allowed to touch it.
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > USE_KNOWN_TO_S:
                    os.utime(path)
        return arrays

    def put(self, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep an item under its key: all of it or, with an error, nothing."""
        path = self.path(key)
        try:
            make_shared_folder(path.parent, self.root)
            # Waiting for the disk may take longer than making an item; a damaged one is made again.
            write_h5(path, arrays, {"schema": SCHEMA, "key": key}, lasting=False)
        except UserError as error:
            raise UserError(
                f"item store: {error}; or set MULTIEMO_STORE to a folder that you can write to"
            ) from error


def make_shared_folder(folder: Path, root: Path) -> Path:
    """Make a folder of the store at ``root`` that whoever may use the store may use, whatever the umask.

    Raises UserError where it cannot be made.
    """
    try:
        _make_folder(folder, root)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror}); mend {root}'s permissions") from error
    return folder


def _make_folder(folder: Path, root: Path) -> None:
    if folder.is_dir():
        return
    if folder == root:
        folder.mkdir(parents=True, exist_ok=True)
        return
    _make_folder(folder.parent, root)
    # Open to all of them from the first moment, because whoever sees it uses it at once; and made under its
    # name, because a folder that took the name later would replace one that another writer is about to use.
    umask = os.umask(0)
    try:
        folder.mkdir(root.stat().st_mode & 0o7777, exist_ok=True)
    finally:
        os.umask(umask)
