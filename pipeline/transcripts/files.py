"""Transcripts as text: in an encoding that the file or the user says."""

from __future__ import annotations

import codecs
from pathlib import Path

from pipeline.errors import UserError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def check_name(path: Path) -> None:
    """UserError for a name that no table can hold: bytes that are no UTF-8, as from an older disk."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UserError(f"{str(path)!a}: its name is not UTF-8: rename it") from None


def decode(content: bytes, encoding: str | None) -> str:
    """Text by its byte order mark, else in ``encoding``, else as UTF-8; it is never guessed.

    Line ends are single ``\\n``.  UserError, with the line, for bytes that are no text of it.
    """
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    name = marked or encoding or "utf-8"
    try:
        text = content.decode(name)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"line {line}: byte 0x{content[error.start]:02x} is not {name.removesuffix('-sig').upper()}; if"
            " the file is in another encoding, say it by --encoding, such as --encoding cp1252"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def check_encoding(name: str) -> str:
    """The name of an encoding of text that Python knows; ValueError for another."""
    try:
        info = codecs.lookup(name)
        known = isinstance("".encode(info.name), bytes) and isinstance(b"".decode(info.name), str)
    except (LookupError, TypeError, ValueError):
        known = False
    if not known:
        raise ValueError(f"{name!r} is no encoding")
    return name
