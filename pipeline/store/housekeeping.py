"""What an item store holds, what of it a project still uses, and what may go."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.store.h5 import DamagedFileError, read_h5
from pipeline.store.items import DAY_S, USE_KNOWN_TO_S, ItemStore
from pipeline.store.locks import unless_used

ITEM_KEYS = "item_keys"
"""In the JSON files below: the keys of the items that were used."""
TELL_KEYS = ("*/text_encoder/origin.json", "models/*/model/model.json")

_ITEM = re.compile(r"(?P<key>[0-9a-f]{64})\.h5")
_LEFTOVER = re.compile(r"\.[0-9a-f]{64}\.h5\.\w+")


@dataclass(frozen=True)
class StoredFile:
    """An item, or what a killed writer has left of one."""

    path: Path
    stage: str
    key: str
    """Empty for a leftover."""
    size_bytes: int
    unused_s: float
    """At least so long ago it was written or last used."""


def list_files(root: Path) -> Iterator[StoredFile]:
    """All items and leftovers below a store's root, by stage and name."""
    now = time.time()
    for path in sorted(root.glob("*/??/*.h5*")):  # leading dots match too
        item = _ITEM.fullmatch(path.name)
        if not item and not _LEFTOVER.fullmatch(path.name):
            continue
        try:
            stat = path.stat()
        except FileNotFoundError:  # another user prunes
            continue
        key = item["key"] if item else ""
        yield StoredFile(path, path.parent.parent.name, key, stat.st_size, _unused_s(stat, now))


def list_checkpoints(root: Path) -> Iterator[StoredFile]:
    """Folders of trainings that are not finished, below ``runtime.checkpoint_root()``, as leftovers.

    That of a training that runs, whose epochs may take days, is in use.
    """
    now = time.time()
    for folder in sorted(path for path in root.glob("*") if path.is_dir()):
        written_s, size_bytes = 0.0, 0
        # Which asks nothing of what is gone: a training that runs deletes its older checkpoints.
        for place, _, names in os.walk(folder):
            for path in [Path(place), *(Path(place, name) for name in names)]:
                with suppress(FileNotFoundError):
                    stat = path.stat()
                    written_s, size_bytes = max(written_s, stat.st_mtime), size_bytes + stat.st_size
        with unless_used(folder) as free:
            unused_s = now - written_s if free else 0.0
        yield StoredFile(folder, "checkpoints", "", size_bytes, unused_s)


def delete(file: StoredFile) -> bool:
    """Delete an item or a leftover, unless a run has begun to use it; whether it is gone.

    OSError where that is not allowed.
    """
    if file.path.is_dir():
        with unless_used(file.path) as free:
            if free:
                shutil.rmtree(file.path)
            return free
    with suppress(FileNotFoundError):
        # It was listed before all others were looked at and deleted, which may take minutes.
        if _unused_s(file.path.stat(), time.time()) <= DAY_S:
            return False
        file.path.unlink()
    return True


def _unused_s(stat: os.stat_result, now_s: float) -> float:
    """So long ago, at least, an item was written or last used."""
    return max(0.0, now_s - stat.st_mtime - USE_KNOWN_TO_S)


def used_keys(data: Path) -> set[str]:
    """Keys of the items that a project's outputs were made of: stages' files, text encoders, models.

    UserError where one of them cannot be read now, so that nobody takes its items for unused.
    """
    keys: set[str] = set()
    for path in [each for pattern in TELL_KEYS for each in data.glob(pattern)]:
        try:
            with suppress(FileNotFoundError, ValueError):  # damaged, as a file below may be
                keys.update(json.loads(path.read_text(encoding="utf-8")).get(ITEM_KEYS, []))
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); mend its permissions") from error
    for path in data.glob("*/*.h5"):
        try:
            arrays, _ = read_h5(path, ["item_key"])
        except (DamagedFileError, FileNotFoundError):  # a feature file has none
            continue
        keys.update(arrays["item_key"].tolist())
    return keys


def find_damaged(root: Path, files: Iterable[StoredFile]) -> Iterator[StoredFile]:
    """Items that a run would not take: damaged, truncated, of another version or misnamed."""
    for file in files:
        if file.key and ItemStore(root, file.stage).read(file.key) is None:
            yield file


def choose_prunable(
    files: Iterable[StoredFile], used: set[str], *, unreachable: bool, older_than_s: float | None
) -> Iterator[StoredFile]:
    """What may go: every leftover, and the items that meet all criteria given, if any is.

    ``unreachable``: not in ``used``.  ``older_than_s``: not used for that long.  Nothing of the last day
    goes: a run may be about to need it.
    """
    for file in files:
        chosen = unreachable or older_than_s is not None
        if unreachable and file.key in used:
            chosen = False
        if older_than_s is not None and file.unused_s <= older_than_s:
            chosen = False
        if file.unused_s > DAY_S and (chosen or not file.key):
            yield file
