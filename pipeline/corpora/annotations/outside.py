"""Media files that lie outside of a corpus's root, where DVC does not watch them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def files_outside(root: Path, names: Iterable[str]) -> list[str]:
    """Of files named relative to the root those in folders outside of it, or behind links to such; sorted.

    A file that is itself a link counts as where the link is: DVC reads through it, and makes such links.
    """
    bounds = root.resolve()
    return sorted(name for name in set(names) if not (root / name).parent.resolve().is_relative_to(bounds))
