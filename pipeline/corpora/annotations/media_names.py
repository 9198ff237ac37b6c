"""Media files that a table names: where they may lie, and how the file system spells them."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from pipeline.corpora.annotations.cells import one_line
from pipeline.errors import UserError

_ALLOW = "; format: {kind: table, outside_media: true} in params.yaml allows it"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class MediaNames:
    """The media files of a corpus, by the names that a table gives them.

    macOS writes decomposed letters, and no-break spaces into the names of its recordings; a table that was
    typed has others.
    """

    def __init__(self, root: Path, *, outside: bool) -> None:
        """``outside``: whether paths may lead out of ``root``."""
        self._root, self._outside = root, outside
        self._folders: dict[Path, dict[str, list[str]]] = {}

    def find(self, name: str) -> str:
        """A file as the file system spells it, relative to the root, as short as it can be written.

        A file that is not there keeps its name.  UserError for a path that leads, or whose links lead, out
        of the root without leave, or that may be either of two files.
        """
        if CONTROL.search(name) or "\\" in name:
            raise UserError(f"media {name!r} must be a path with forward slashes, without control characters")
        path = PurePosixPath(name)
        if not self._outside and (path.is_absolute() or ".." in path.parts):
            raise UserError(f"media {name!r} must be relative to the corpus's root, without ..{_ALLOW}")
        spelled = PurePosixPath()
        for part in path.parts:
            spelled /= self._spelling(self._root / spelled, part)
        if not self._outside:
            self._check_bounds(name, spelled)
        return spelled.as_posix()

    def _check_bounds(self, name: str, path: PurePosixPath) -> None:
        bounds = self._root.resolve()
        try:
            inside = (bounds / path).resolve().is_relative_to(bounds)
        except (OSError, RuntimeError):
            raise UserError(f"media {name!r} is a link that leads nowhere") from None
        if not inside:
            raise UserError(f"media {name!r} is a link that leads out of the corpus's root{_ALLOW}")

    def _spelling(self, folder: Path, name: str) -> str:
        """The entry of a folder that has this name, or else the one that looks like it."""
        if folder not in self._folders:
            alike: dict[str, list[str]] = {}
            for entry in _entries(folder):
                alike.setdefault(one_line(entry), []).append(entry)
            self._folders[folder] = alike
        found = self._folders[folder].get(one_line(name), [name])
        if name in found:
            return name
        if len(found) > 1:
            raise UserError(f"media {name!r} may be either of {found[0]!a} and {found[1]!a}: rename one")
        return found[0]


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:  # it is not there, or nobody may look into it: the file is then missing
        return []
