"""Arguments that several subcommands take."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def file_to_write(*suffixes: str) -> Callable[[str], Path]:
    """Type of an argument that names a file to write: one with a suffix that says what will be in it.

    So an image is not called a.jpg, and a command does not overwrite a file of another kind that it reads.
    """

    def check(name: str) -> Path:
        path = Path(name)
        if path.suffix.lower() not in map(str.lower, suffixes):
            raise argparse.ArgumentTypeError(f"{name}: give a name that ends in {' or '.join(suffixes)}")
        return path

    return check
