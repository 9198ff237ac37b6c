"""Files as other software would have written them."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.store.seal import find_seal


def cut_seal(path: Path) -> None:
    """Leave a file of ours as it would be without its seal."""
    with path.open("rb") as file:
        seal = find_seal(file.fileno())
    assert seal is not None
    os.truncate(path, seal.length)
