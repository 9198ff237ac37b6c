"""What is known of the files of a corpus: digest and probe, kept between runs.

A file is read again only when its size or its time of change differs: digesting a corpus takes
minutes, asking for 14,000 sizes a fraction of a second.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.fingerprint import code_digest, library_versions
from pipeline.media import Probe, file_digest, probe

MISSING = Probe(picture_problem="clip missing", sound_problem="clip missing")


@dataclass(frozen=True)
class Probed:
    """One file."""

    sha256: str = ""
    """Digest of its bytes; empty where there is no file."""
    probe: Probe = MISSING


def examine_file(path: Path) -> Probed:
    """Digest and probe of a file; a missing one is told as such."""
    try:
        return Probed(file_digest(path), probe(path))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return Probed()
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        return Probed(probe=Probe(picture_problem=reason, sound_problem=reason))


@dataclass
class ProbeCache:
    """Results by file of one corpus, and the size and time that each file had."""

    root: Path
    path: Path
    entries: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, root: Path) -> ProbeCache:
        """The cache of the corpus at ``root``, empty if there is none for this version of the code."""
        where = str(root.resolve())
        how = [code_digest("pipeline.media"), library_versions("av")]
        name = hashlib.sha256(json.dumps([where, how]).encode()).hexdigest()
        path = folder / f"{name}.json"
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            entries = {}
        return cls(root, path, entries)

    def get(self, name: str) -> Probed | None:
        """What is known of a file, None if nothing is or the file has changed since."""
        entry = self.entries.get(name)
        if entry is None or entry["stamp"] != self._stamp(name):
            return None
        return Probed(entry["sha256"], Probe(**entry["probe"]))

    def put(self, name: str, probed: Probed) -> None:
        """Remember a file as it is now."""
        probe_values = dataclasses.asdict(probed.probe)
        self.entries[name] = {"stamp": self._stamp(name), "sha256": probed.sha256, "probe": probe_values}

    def save(self) -> None:
        """Write the cache, atomically."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False, encoding="utf-8") as file:
            json.dump(self.entries, file)
        Path(file.name).replace(self.path)

    def _stamp(self, name: str) -> list[int]:
        """Size and time of change; empty where there is no file."""
        try:
            found = (self.root / name).stat()
        except OSError:
            return []
        return [found.st_size, found.st_mtime_ns]
