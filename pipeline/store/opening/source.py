"""A file for HDF5 to read from, which gives it no bytes that are known to be damaged or to harm it.

Of a sealed file each block is held against its digest before HDF5 sees any of it.  Of every file the
structures that HDF5 follows blindly are looked at first (``structures``).
"""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import Any

from pipeline.store.opening.structures import Structures
from pipeline.store.seal import BLOCK_BYTES, SealBrokenError, find_seal

_PIECE_BYTES = 1 << 20
"""That are held beside what HDF5 gets, at most."""
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_END_AT = {0: 40, 1: 44, 2: 28, 3: 28}
"""Where the first block of a file says how long it is, by that block's version."""
_SIZES_AT = {0: 13, 1: 13, 2: 9, 3: 9}
"""Where it says how many bytes an address and a length have."""


class BytesRefusedError(OSError):
    """Bytes that HDF5 does not get to see."""


class CheckedBytes(io.RawIOBase):
    """The bytes of a file, for ``h5py.File``; the seal is no part of them."""

    _handle = -1

    def __init__(self, path: Path) -> None:
        """OSError if it cannot be opened, BytesRefusedError if it is no plain file or its seal is broken."""
        super().__init__()
        self.trouble: OSError | None = None
        """What the file system said of it, which HDF5 takes for damage."""
        self._handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO would block
        try:
            status = os.fstat(self._handle)
            if not stat.S_ISREG(status.st_mode):
                raise BytesRefusedError("it is no plain file")
            try:
                self._seal = find_seal(self._handle)
            except SealBrokenError as error:
                raise BytesRefusedError(str(error)) from None
            self.length = self._seal.length if self._seal else status.st_size
            self._sound: set[int] = set()
            """Numbers of the blocks that were held against the seal."""
            self._structures = Structures(self.read_at, self.length)
            self._position = 0
            self.refused = ""
            """Why bytes were not given; HDF5 itself would only say that reading failed."""
            self._check_end()
        except BaseException:
            self.close()  # and not its handle alone, which may be another file's when this is forgotten
            raise

    @property
    def sealed(self) -> bool:
        """Whether each byte can be held against what was written."""
        return self._seal is not None

    def check_all(self) -> list[str]:
        """Where the bytes are not those that were sealed, in words; nothing is known of an unsealed file."""
        damaged = []
        for start in range(0, self.length if self.sealed else 0, BLOCK_BYTES):
            try:
                self.read_at(start, min(BLOCK_BYTES, self.length - start))
            except BytesRefusedError as error:
                damaged.append(str(error))
        return damaged

    def read_at(self, start: int, size: int) -> bytes:
        """Bytes of the file; BytesRefusedError if they are damaged, or lie beyond its end."""
        if start < 0 or size < 0 or start + size > self.length:
            self._refuse("it is cut off, or points beyond its end")
        if self._seal is None:
            return self._pread(start, size)
        first, last = start // BLOCK_BYTES, -(-(start + size) // BLOCK_BYTES)
        if self._sound.issuperset(range(first, last)):
            return self._pread(start, size)
        begin = first * BLOCK_BYTES
        content = self._pread(begin, min(last * BLOCK_BYTES, self.length) - begin)
        for block in range(first, last):
            at = block * BLOCK_BYTES - begin
            if block not in self._sound and not self._seal.fits(block, content[at : at + BLOCK_BYTES]):
                end = min((block + 1) * BLOCK_BYTES, self.length)
                self._refuse(f"bytes {block * BLOCK_BYTES} to {end - 1} are damaged: not what was written")
            self._sound.add(block)
        return content[start - begin : start - begin + size]

    def readinto(self, buffer: Any) -> int:
        """As HDF5 calls it, where ``seek`` has led to."""
        view = memoryview(buffer).cast("B")
        for start in range(0, len(view), _PIECE_BYTES):
            part = view[start : start + _PIECE_BYTES]
            part[:] = self.read_at(self._position, len(part))
            if start == 0 and (problem := self._structures.find_problem(self._position, bytes(part))):
                self._refuse(problem)
            self._position += len(part)
        return len(view)

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place in the file."""
        self._position = place + (0, self._position, self.length)[whence]
        return self._position

    def tell(self) -> int:
        """The place in the file."""
        return self._position

    def readable(self) -> bool:
        """It is all that it is."""
        return True

    def seekable(self) -> bool:
        """Likewise."""
        return True

    def close(self) -> None:
        """Let go of the file."""
        if not self.closed and self._handle >= 0:
            os.close(self._handle)
        super().close()

    def _pread(self, start: int, size: int) -> bytes:
        """All of the bytes, which a single read may not give."""
        content = b""
        while len(content) < size:
            try:
                more = os.pread(self._handle, size - len(content), start + len(content))
            except OSError as error:
                self.trouble = error
                raise
            if not more:
                self._refuse("it became shorter while it was read")
            content += more
        return content

    def _refuse(self, reason: str) -> None:
        self.refused = self.refused or reason
        raise BytesRefusedError(reason)

    def _check_end(self) -> None:
        """Refuse what is no HDF5 file of 8-byte addresses, and what goes on behind its end: a broken seal."""
        if self.length < 96:
            self._refuse("it is too short")
        head = self.read_at(0, 96)
        version = head[8]
        if not head.startswith(_SIGNATURE) or version not in _END_AT:
            self._refuse("it does not begin as an HDF5 file does")
        at = _SIZES_AT[version]
        if head[at : at + 2] != b"\x08\x08":
            self._refuse("its addresses have other than 8 bytes")
        end = int.from_bytes(head[_END_AT[version] :][:8], "little")
        if end != self.length:
            self._refuse(f"it has {self.length} bytes instead of {end}: cut off, or its seal is damaged")
