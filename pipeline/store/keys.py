"""The key of a piece of work: everything that defines its result, and nothing else."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def work_key(stage: str, *, code: str, versions: Mapping[str, str], **inputs: Any) -> str:
    """SHA-256 over everything that defines an item; ``inputs`` must be JSON values."""
    whole = {"stage": stage, "code": code, "versions": versions, "inputs": inputs}
    canonical = json.dumps(whole, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def library_versions(*distributions: str) -> dict[str, str]:
    """Installed versions, without the build's tag (2.12.1+cpu and 2.12.1+cu130 are one version).

    With PyAV come those of ffmpeg's own libraries, which it may have been built against anew.
    """
    versions = {name: importlib.metadata.version(name).partition("+")[0] for name in distributions}
    if "av" in distributions:
        import av

        versions |= {name: ".".join(map(str, parts)) for name, parts in sorted(av.library_versions.items())}
    return versions


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        error.filename = error.filename or str(path)  # which reading does not tell
        raise


def listing_digest(digests: Mapping[str, str]) -> str:
    """SHA-256 of several files by name: over the lines ``<SHA-256>  <name>``, in the order of the names."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
