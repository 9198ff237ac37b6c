"""What a folder of recordings may hold beside files and folders: pipes, sockets, devices, links to nowhere.

Whoever opens a pipe waits for its other end, and /dev/zero has no end; DVC opens all that lies in a
folder that it watches.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
LEADS_NOWHERE = "a link that leads nowhere"
_OUTSIDE_OF_DVC = {".git", ".hg", ".dvc"}  # where git keeps a socket


def special_kind(path: str | Path) -> str:
    """What stands at a path, in words, if it is neither file nor folder, nor a link to one; else empty.

    Empty also where nothing is.
    """
    link = os.path.islink(path)  # noqa: PTH114 - a path is as good as text
    try:
        kind = _KINDS.get(stat.S_IFMT(os.stat(path).st_mode), "")  # noqa: PTH116
    except FileNotFoundError:
        return LEADS_NOWHERE if link else ""
    except OSError as error:
        return f"a link that cannot be followed ({error.strerror})" if link else ""
    return f"a link to {kind}" if kind and link else kind


def find_unreadable(folder: str | Path) -> Iterator[str]:
    """What DVC stops at or waits for in a folder, one phrase each; as it looks for it: through no links."""
    waiting = [str(folder)]
    while waiting:
        path = waiting.pop()
        try:
            with os.scandir(path) as found:
                entries = [entry for entry in found if entry.name not in _OUTSIDE_OF_DVC]
        except OSError as error:
            yield f"{path} cannot be read ({error.strerror})"
            continue
        for entry in entries:
            if not _is_utf8(entry.name):
                yield f"{entry.path} has a name that is not UTF-8"
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            elif not entry.is_file(follow_symlinks=False) and (kind := special_kind(entry.path)):
                yield f"{entry.path} is {kind}"


def _is_utf8(name: str) -> bool:
    return name.isascii() or not any("\udc80" <= character <= "\udcff" for character in name)
