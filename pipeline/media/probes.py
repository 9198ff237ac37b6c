"""What is known of the files of a corpus: digest and probe, kept between runs.

A file is read again only when another file stands in its place or it was touched in any way: digesting
a corpus takes minutes, asking for 14,000 sizes and times a fraction of a second.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import stat
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import DISK_TROUBLES, UserError
from pipeline.media.opening import UnreachableFileError
from pipeline.media.probe import Probe, probe
from pipeline.media.special_files import special_kind
from pipeline.store.code import result_digest
from pipeline.store.items import make_shared_folder
from pipeline.store.keys import file_digest, library_versions
from pipeline.store.sealed_json import read_sealed, write_sealed

# What another version of the code has found goes when nobody has used it for two months.
KEPT_S = 60 * 24 * 3600.0
MISSING = Probe(image_problem="clip missing", audio_problem="clip missing")


@dataclass(frozen=True)
class Probed:
    """One file."""

    sha256: str = ""
    """Digest of its bytes; empty where there is no file."""
    probe: Probe = MISSING
    stamp: tuple[int, ...] = ()
    """What tells it from any other file, and from itself after a change, as it was before it was read; empty
    where there is no file."""


def examine_file(path: Path) -> Probed:
    """Digest and probe of a file; a missing one is told as such, and so is what is none.

    Raises UserError where a file is there but cannot be read: that says nothing about the clip.
    """
    stamp = _stamp(path)
    if not stamp:
        return _no_file(path)
    try:
        return Probed(file_digest(path), probe(path), stamp)
    except (OSError, UnreachableFileError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be read ({reason}); mend its permissions or its disk") from error


@dataclass
class ProbeCache:
    """Results by file of one corpus, and the stamp that each file had."""

    root: Path
    path: Path
    entries: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, root: Path) -> ProbeCache:
        """The cache of the corpus at ``root`` by this version of the code; empty if it is damaged.

        ``folder`` is one of the item store, whose clones may have several versions.
        """
        where = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()
        how = json.dumps([result_digest("pipeline.media.probe"), library_versions("av")])
        path = folder / f"{where}-{hashlib.sha256(how.encode()).hexdigest()[:16]}.json"
        with suppress(OSError):
            os.utime(path)  # in use
        return cls(root, path, read_sealed(path))

    def get(self, name: str) -> Probed | None:
        """What is known of a file, None if nothing is or the file has changed since."""
        entry = self.entries.get(name)
        stamp = _stamp(self.root / name)
        if entry is None or tuple(entry["stamp"]) != stamp:
            return None
        if not stamp:  # nothing was read, and what is there in its place may be another now
            return _no_file(self.root / name)
        return Probed(entry["sha256"], Probe(**entry["probe"]), stamp)

    def put(self, name: str, probed: Probed) -> None:
        """Remember a file as it was when it was read."""
        self.entries[name] = dataclasses.asdict(probed)

    def save(self) -> None:
        """Write the cache, atomically."""
        folder = self.path.parent
        make_shared_folder(folder, folder.parent)
        write_sealed(self.path, self.entries)
        where, _, _ = self.path.name.partition("-")
        for other in folder.glob(f"{where}*.json"):
            with suppress(OSError):  # another clone may be faster, or nobody but its owner delete it
                if time.time() - other.stat().st_mtime > KEPT_S:
                    other.unlink()


def _no_file(path: Path) -> Probed:
    what = "a folder" if path.is_dir() else special_kind(path)
    return (
        Probed(probe=Probe(image_problem=f"no file, but {what}", audio_problem=f"no file, but {what}"))
        if what
        else Probed()
    )


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError as error:
        if error.errno in DISK_TROUBLES:  # it may be there
            raise UserError(
                f"{path}: cannot be read ({error.strerror}); mend its folder's permissions or the disk"
            ) from error
        return ()
    if not stat.S_ISREG(found.st_mode):
        return ()
    # zip, tar, rsync and mv keep size and mtime, or exchange them; none of them can keep the other two.
    return found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns
