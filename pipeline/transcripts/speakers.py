"""Who speaks: names as transcribers write them, and the table by which a user renames them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pipeline.corpora.annotations.cells import one_line
from pipeline.corpora.annotations.rows import Mistakes, read_delimited, read_lines
from pipeline.corpora.table import parse_crop
from pipeline.errors import UserError

_NUMBERED = re.compile(r"(?:speaker|spk|s)?[ _-]?\d{1,3}", re.IGNORECASE)


def of_one_file(path: Path, name: str, *, always: bool = False) -> str:
    """A name that a program gave, made one of this file's: SPEAKER_00 of two files are two people.

    ``always``: whatever the name is; else only where it is a number.

    >>> of_one_file(Path("a/visit01.vtt"), "SPEAKER_00"), of_one_file(Path("a/visit01.vtt"), "Ann")
    ('visit01 SPEAKER_00', 'Ann')
    """
    if not name or not ((always and len(name) == 1) or _NUMBERED.fullmatch(name)):
        return name
    return f"{one_line(path.stem)} {name}"


def is_of_one_file(stem: str, name: str) -> bool:
    """Whether ``of_one_file`` made a name that of the file of this stem.

    >>> is_of_one_file("visit01", "visit01 SPEAKER_00"), is_of_one_file("Ann", "Ann Smith")
    (True, False)
    """
    given = name.removeprefix(f"{stem} ")
    return given != name and (len(given) == 1 or _NUMBERED.fullmatch(given) is not None)


def is_made_up(name: str) -> bool:
    """Whether a program numbered a speaker, and nobody named him.

    >>> is_made_up("visit01 SPEAKER_00"), is_made_up("Ann")
    (True, False)
    """
    return _NUMBERED.fullmatch(name.rpartition(" ")[2]) is not None


class Role(NamedTuple):
    """What becomes of a speaker."""

    speaker: str
    crop: str


class Cast:
    """A table *found, speaker, crop*: found names to those that are to be used."""

    def __init__(self, roles: Mapping[str, Role] | None = None, path: Path | None = None) -> None:
        self.roles, self.path = roles, path

    @classmethod
    def read(cls, path: Path) -> Cast:
        """The table of a file; UserError, by line, for what is no such table."""
        mistakes = Mistakes()
        roles: dict[str, Role] = {}
        rows = read_delimited(
            path, read_lines(path), mistakes, required=("found", "speaker"), optional=("crop",)
        )
        for row in rows:
            found = one_line(row.cells["found"])
            with mistakes.at(f"{path}, line {row.line}"):
                if found in roles:
                    raise UserError(f"{found!r} stands there twice")
                crop = parse_crop(one_line(row.cells.get("crop", "")))
                roles[found] = Role(one_line(row.cells["speaker"]), crop)
        mistakes.refuse()
        return cls(roles, path)

    @property
    def known(self) -> frozenset[str]:
        """The names that may be found."""
        return frozenset(self.roles or ())

    def role(self, found: str) -> Role:
        """What a found name is to be; UserError where there is a table without it, as its name would leak."""
        if self.roles is None or (not found and found not in self.roles):
            return Role(found, "")
        if found not in self.roles:
            raise UserError(
                f"speaker {found!r} does not stand in {self.path}: add a row *found, speaker, crop*"
            )
        return self.roles[found]
