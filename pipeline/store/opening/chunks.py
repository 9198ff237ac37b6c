"""The chunks of an array as they lie in the file, looked at before HDF5 makes an array of them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
from h5py import h5d, h5p, h5z

from pipeline.store.opening.source import CheckedBytes

FILTERS = (h5z.FILTER_SHUFFLE, h5z.FILTER_DEFLATE, h5z.FILTER_FLETCHER32)
"""What chunks may have gone through, in this order, each at most once; gzip is DEFLATE."""
TRUSTED_COMPRESSED_BYTES = 1 << 20
"""Of a chunk: at most 1032 times as much comes out of it.  Larger ones are tried before HDF5 gets them."""
_CHECKSUM_BYTES = 4


class RefusedError(Exception):
    """What is not read here, in words."""


@dataclass(frozen=True)
class Chunks:
    """All chunks of one array."""

    dataset: h5d.DatasetID
    element_bytes: int
    """Of an element in the file."""
    source: CheckedBytes

    @property
    def chunk_bytes(self) -> int:
        """Of a chunk before any filter; those at the edge are whole too."""
        return prod(self._plist.get_chunk()) * self.element_bytes

    def filters(self) -> list[int]:
        """What was applied to the chunks, in its order; RefusedError if it is not of ``FILTERS``."""
        count = self._plist.get_nfilters()
        found = [self._plist.get_filter(place)[0] for place in range(min(count, len(FILTERS) + 1))]
        if found != [each for each in FILTERS if each in found]:
            raise RefusedError("has other filters than gzip, shuffle and Fletcher-32, or in another order")
        return found

    def stored_bytes(self) -> int:
        """Of all chunks in the file."""
        return sum(chunk.size for chunk in self._list())

    def check(self) -> None:
        """RefusedError if a chunk has another size than its filters give, or would fill the memory."""
        for chunk in self._list():
            self._check_size(chunk)
            if chunk.size > TRUSTED_COMPRESSED_BYTES and h5z.FILTER_DEFLATE in self._applied(chunk):
                self._content(chunk)

    def contents(self) -> Iterator[bytes]:
        """The chunks without what the filters did."""
        for chunk in self._list():
            yield self._content(chunk)

    @property
    def _plist(self) -> h5p.PropDCID:
        return self.dataset.get_create_plist()

    def _list(self) -> list[h5d.StoreInfo]:
        """RefusedError, before they are all listed, if there are more than the shape has places for."""
        places = zip(self.dataset.shape, self._plist.get_chunk(), strict=True)
        most = prod(-(-length // size) for length, size in places)
        chunks: list[h5d.StoreInfo] = []

        def note(chunk: h5d.StoreInfo) -> bool | None:
            chunks.append(chunk)
            return True if len(chunks) > most else None

        self.dataset.chunk_iter(note)
        if len(chunks) > most:
            raise RefusedError("has more chunks than its shape has places for")
        return chunks

    def _applied(self, chunk: h5d.StoreInfo) -> list[int]:
        """A chunk that a filter would not have made smaller may lack it."""
        return [each for place, each in enumerate(self.filters()) if not chunk.filter_mask >> place & 1]

    def _check_size(self, chunk: h5d.StoreInfo) -> None:
        applied = self._applied(chunk)
        whole = self.chunk_bytes + _CHECKSUM_BYTES * (h5z.FILTER_FLETCHER32 in applied)
        compressed = h5z.FILTER_DEFLATE in applied
        # zlib makes what it cannot compress a little larger.
        if not (8 < chunk.size < whole + whole // 64 + 64 if compressed else chunk.size == whole):
            raise RefusedError("has chunks of a wrong size")

    def _content(self, chunk: h5d.StoreInfo) -> bytes:
        content = self.source.read_at(chunk.byte_offset, chunk.size)
        applied = self._applied(chunk)
        if h5z.FILTER_FLETCHER32 in applied:
            content = content[:-_CHECKSUM_BYTES]  # HDF5 checks it
        if h5z.FILTER_DEFLATE in applied:
            try:
                content = zlib.decompressobj().decompress(content, self.chunk_bytes + 1)
            except zlib.error:
                raise RefusedError("has chunks that do not decompress") from None
        if len(content) != self.chunk_bytes:
            raise RefusedError("has chunks of a wrong size")
        if h5z.FILTER_SHUFFLE in applied:
            content = np.frombuffer(content, np.uint8).reshape(self.element_bytes, -1).T.tobytes()
        return content
