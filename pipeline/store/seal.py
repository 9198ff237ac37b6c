"""Digests of a file's bytes, block by block, behind its end: so that damage is seen before it is interpreted.

    <file>   SHA-256 of each BLOCK_BYTES of it   length of the file, SHA-256 of that and the digests, MAGIC

HDF5 believes what it reads: a page of zeros in the wrong place may keep it busy for ever.  Other readers of
HDF5 do not notice a seal, and a library that changes the file cuts it off.  It tells damage, not ill will.
"""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass
from io import FileIO

from pipeline.store.atomic import write_all

BLOCK_BYTES = 64 << 10
MAGIC = b"MULTIEMO SEAL 1\n"
_LENGTH = struct.Struct("<Q")
_DIGEST_BYTES = hashlib.sha256().digest_size
_FOOTER_BYTES = _LENGTH.size + _DIGEST_BYTES + len(MAGIC)


class SealBrokenError(Exception):
    """A seal that is not as it was made."""


@dataclass(frozen=True)
class Seal:
    """What a sealed file's bytes must be."""

    length: int
    """Of the file without its seal."""
    digests: bytes

    def fits(self, block: int, content: bytes) -> bool:
        """Whether this is the content of a block, counted from 0."""
        start = block * _DIGEST_BYTES
        return hashlib.sha256(content).digest() == self.digests[start : start + _DIGEST_BYTES]


def append_seal(raw: FileIO) -> None:
    """Seal what an open file holds; OSError where the disk does not take it."""
    handle = raw.fileno()
    length = os.fstat(handle).st_size
    digests = b"".join(
        hashlib.sha256(os.pread(handle, BLOCK_BYTES, start)).digest()
        for start in range(0, length, BLOCK_BYTES)
    )
    head = _LENGTH.pack(length)
    raw.seek(length)
    write_all(raw, digests + head + hashlib.sha256(head + digests).digest() + MAGIC)


def find_seal(handle: int) -> Seal | None:
    """The seal of an open file; None if it has none.  SealBrokenError if it is damaged."""
    size = os.fstat(handle).st_size
    footer = os.pread(handle, _FOOTER_BYTES, max(0, size - _FOOTER_BYTES))
    if not footer.endswith(MAGIC) or len(footer) < _FOOTER_BYTES:
        return None
    head, own = footer[: _LENGTH.size], footer[_LENGTH.size : -len(MAGIC)]
    (length,) = _LENGTH.unpack(head)
    blocks = -(-length // BLOCK_BYTES)
    if length + blocks * _DIGEST_BYTES + _FOOTER_BYTES != size:
        raise SealBrokenError("it is cut off, or longer than it was")
    digests = os.pread(handle, blocks * _DIGEST_BYTES, length)
    if hashlib.sha256(head + digests).digest() != own:
        raise SealBrokenError("the digests of its bytes are not what was written")
    return Seal(length, digests)
