"""What can be found again, kept as JSON beside its digest, so that damage costs time and nothing else."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pipeline.store.atomic import write_atomically


def write_sealed(path: Path, entries: dict[str, Any]) -> None:
    """Write JSON values by name, atomically; UserError where the disk does not take them."""
    write_atomically(path, json.dumps(_sealed(entries)).encode())


def read_sealed(path: Path) -> dict[str, Any]:
    """What ``write_sealed`` wrote; nothing where there is no such file, or a damaged one."""
    try:
        kept = json.loads(path.read_bytes())
        return kept["entries"] if kept == _sealed(kept["entries"]) else {}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}


def _sealed(entries: dict[str, Any]) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(json.dumps(entries).encode()).hexdigest(), "entries": entries}
