"""Arguments that several commands take."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def file_to_write(suffix: str) -> Callable[[str], Path]:
    """Type of an argument that names a file to write: one with the suffix of what will be in it.

    So a picture is not called a.jpg, and what a command reads is never what it overwrites.
    """

    def check(given: str) -> Path:
        path = Path(given)
        if path.suffix.lower() != suffix:
            raise argparse.ArgumentTypeError(f"{given}: give a name that ends in {suffix}")
        return path

    return check
