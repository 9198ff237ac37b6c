"""Files that a command wrote and somebody may have mended since: such work is not replaced.

A record holds the SHA-256 of each by its name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import UserError
from pipeline.store.atomic import write_text
from pipeline.store.keys import file_digest


def check_unmended(record: Path, targets: Iterable[Path]) -> None:
    """UserError for a file that is there and not as it was written."""
    known = _read(record)
    for target in targets:
        if target.exists() and not (target.is_file() and file_digest(target) == known.get(target.name)):
            raise UserError(
                f"{target}: was changed by hand, or is not of an analysis here, and would be replaced; move"
                " it elsewhere or delete it, or name another folder with -o"
            )


def note_written(record: Path, target: Path) -> None:
    """Record a file at once, so that an end before the next one is written leaves none that seems mended."""
    digests = _read(record) | {target.name: file_digest(target)}
    write_text(record, json.dumps(digests, indent=1, sort_keys=True) + "\n")


def _read(record: Path) -> dict[str, str]:
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # without it nothing is known to be replaceable
        return {}
    return found if isinstance(found, dict) else {}
