"""Outputs as DVC leaves them where ``cache.type`` is symlink."""

from __future__ import annotations

from pathlib import Path


def move_into_cache(folder: Path, cache: Path) -> dict[Path, bytes]:
    """Put links into ``cache`` in place of a folder's files; what the cache holds from then on."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        kept = cache / path.relative_to(folder)
        kept.parent.mkdir(parents=True, exist_ok=True)
        path.rename(kept)
        path.symlink_to(kept.absolute())
        kept.write_bytes(kept.read_bytes() + b" of an older run")
    return {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()}
