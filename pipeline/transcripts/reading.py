"""Any transcript: its format by suffix and content, and its reader."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from pipeline.corpora.annotations.rows import Mistakes, read_bytes
from pipeline.errors import UserError
from pipeline.params import kinds_in
from pipeline.transcripts.content import Transcript
from pipeline.transcripts.files import check_name

READERS = "pipeline.transcripts.readers"
HEAD_BYTES = 4096


class How(NamedTuple):
    """What the user says of the files."""

    format: str | None = None
    """Name of a reader; None to go by suffix and content."""
    encoding: str | None = None
    known_speakers: frozenset[str] = frozenset()
    """Names that are speakers wherever a line begins with them and a colon."""


def formats() -> list[str]:
    """Names of the formats."""
    return kinds_in(READERS)


def read_transcripts(paths: Iterable[Path], how: How) -> list[Transcript]:
    """All files; UserError with the first mistakes of all of them, by file and place."""
    mistakes = Mistakes()
    transcripts = []
    for path in paths:
        with mistakes.at(str(path)):
            transcripts.append(_read(path, how, mistakes))
    mistakes.refuse()
    return transcripts


def _read(path: Path, how: How, mistakes: Mistakes) -> Transcript:
    check_name(path)
    content = read_bytes(path)
    reader: Any = _reader(how.format) if how.format else _find_reader(path, content)
    transcript: Transcript = reader.read(path, content, how, mistakes)
    return transcript


@cache
def _reader(name: str) -> ModuleType:
    return importlib.import_module(f"{READERS}.{name}")


def _find_reader(path: Path, content: bytes) -> ModuleType:
    readers: list[Any] = [_reader(name) for name in formats()]
    named = [reader for reader in readers if path.suffix.lower() in reader.SUFFIXES]
    head = content[:HEAD_BYTES].replace(b"\0", b"").decode("latin-1").removeprefix("ï»¿").lstrip("ÿþ \t\r\n")
    found = named or [reader for reader in readers if reader.looks_like(head)]
    if not found:
        raise UserError(f"is in none of the formats {', '.join(formats())}; --from says which it is")
    return found[0]
