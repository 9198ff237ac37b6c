"""Names from annotations as names of files: one file each, in the folder that is meant."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator

_NOT_IN_NAMES = re.compile(r"^\.|[%/\\\x00-\x1f\x7f]")

LONGEST_BYTES = 200
"""A file system allows 255, and an ending and what a program adds while it writes must fit in, too."""


def file_name(name: str) -> str:
    r"""The name itself where it can be a file's, else one that no other name gets.

    What would lead elsewhere is written as in URLs; of an overlong name the beginning is kept, with a digest.

    >>> file_name("dia0_utt3"), file_name("../S1/visit1")
    ('dia0_utt3', '%2E.%2FS1%2Fvisit1')
    """
    safe = _NOT_IN_NAMES.sub(lambda match: f"%{ord(match[0]):02X}", name)
    if len(os.fsencode(safe)) <= LONGEST_BYTES:
        return safe
    digest = hashlib.sha256(os.fsencode(safe)).hexdigest()[:32]
    beginning = os.fsdecode(os.fsencode(safe)[: LONGEST_BYTES - len(digest) - 1])
    # A character that is cut through is left out.
    return f"{beginning.encode(errors='ignore').decode()}~{digest}"


def renaming_notes(names: Iterable[str]) -> Iterator[str]:
    """A line on those of the names that are no file's name, if there are any."""
    renamed = [name for name in names if file_name(name) != name]
    if renamed:
        yield f"{len(renamed)} ids are no names of files and are written otherwise: {_shown(renamed[0])}"


def _shown(name: str) -> str:
    return f"{name[:60]!r} as {file_name(name)[:60]!r}"
