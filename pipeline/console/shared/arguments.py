"""Arguments that several subcommands take."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def file_to_write(suffix: str) -> Callable[[str], Path]:
    """Type of an argument that names a file to write: one with the suffix of what will be in it.

    So an image is not called a.jpg, and what a command reads is never what it overwrites.
    """

    def check(name: str) -> Path:
        path = Path(name)
        if path.suffix.lower() != suffix:
            raise argparse.ArgumentTypeError(f"{name}: give a name that ends in {suffix}")
        return path

    return check
