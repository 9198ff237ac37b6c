"""HDF5's structures that its library follows without asking where they lead: round for ever, or to a crash.

Each is looked at when the library is about to read it.  It reads one at a time, whole, from its beginning.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

Read = Callable[[int, int], bytes]
"""Bytes of the file by place and size; an error where there are none."""

_HEAP_HEAD = struct.Struct("<4sB3xQ")
"""Of text: signature, version, and size in bytes of the whole heap, this head included."""
_SMALLEST_HEAP = 4096
_HEAP_OBJECT = struct.Struct("<H6xQ")
"""Number of an object and the size of its content; 0 is what is free, whose size counts this head."""
_NAMES_HEAD = struct.Struct("<4sB3xQQQ")
"""Of a heap of names: signature, version, size and first free block of its content, and where that is."""
_NO_FREE_BLOCK = 1
_TREE_HEAD = struct.Struct("<4sBBHQQ")
"""Signature, type, level (0 is a leaf), children, neighbours."""
_GROUPS, _CHUNKS = 0, 1
_GROUP_KEY_BYTES = 8
_CHUNK_CHILDREN = 64
"""For which a node of a tree of chunks has room, unless the file's first block says otherwise."""
_LONGEST_ARRAY_AT = {b"EAHD": 44, b"FAHD": 8}
_DEPTH_AT = 12
_DEEPEST_TREE = 3


class Structures:
    """What is known of the structures of one file."""

    def __init__(self, read: Read, length: int) -> None:
        """``length``: of the file in bytes."""
        self._read, self._length = read, length
        self._seen: set[int] = set()
        self._children: set[int] = set()
        """Nodes of trees that have a parent; a second one would be a circle, or as bad as one."""

    def find_problem(self, start: int, content: bytes) -> str:
        """What is wrong with the structure that begins with this content, if it is one; else empty."""
        check = {
            b"GCOL": self._text_heap,
            b"HEAP": self._name_heap,
            b"TREE": self._tree,
            b"EAHD": self._long_array,
            b"FAHD": self._long_array,
            b"BTHD": self._deep_tree,
        }.get(content[:4])
        if check is None or start in self._seen:
            return ""
        self._seen.add(start)
        return check(start, content)

    def _text_heap(self, start: int, content: bytes) -> str:
        if len(content) < _HEAP_HEAD.size:
            return ""
        _, version, size = _HEAP_HEAD.unpack_from(content)
        if version != 1 or size < _SMALLEST_HEAP or start + size > self._length:
            return ""  # no heap, or one that the library refuses
        heap = content if len(content) == size else self._read(start, size)
        place, last = _HEAP_HEAD.size, size - _HEAP_OBJECT.size
        while place <= last:
            number, inner = _HEAP_OBJECT.unpack_from(heap, place)
            step = inner if number == 0 else _HEAP_OBJECT.size + (inner + 7 & ~7)
            if step < _HEAP_OBJECT.size or place + step > size:
                return "a heap of its text is damaged"
            place += step
        return ""

    def _name_heap(self, start: int, content: bytes) -> str:
        if len(content) < _NAMES_HEAD.size:
            return ""
        _, version, size, block, place = _NAMES_HEAD.unpack_from(content)
        if version or block >= size or place + size > self._length:
            return ""  # as above
        names = self._read(place, size)
        for _ in range(len(names) // 16 + 1):
            if block == _NO_FREE_BLOCK:
                return ""
            block = int.from_bytes(names[block : block + 8], "little") if block + 16 <= size else size
        return "a heap of its names is damaged"

    def _tree(self, start: int, content: bytes) -> str:
        """Children must be one level lower and have no other parent."""
        if len(content) < _TREE_HEAD.size:
            return ""
        _, kind, level, count, _, _ = _TREE_HEAD.unpack_from(content)
        if level == 0 or kind not in (_GROUPS, _CHUNKS):
            return ""
        room = len(content) - _TREE_HEAD.size
        key = _GROUP_KEY_BYTES if kind == _GROUPS else (room - 8 * _CHUNK_CHILDREN) // (_CHUNK_CHILDREN + 1)
        for place in range(_TREE_HEAD.size + key, _TREE_HEAD.size + key + count * (key + 8), key + 8):
            child = int.from_bytes(content[place : place + 8], "little")
            head = self._read(child, _TREE_HEAD.size)
            if child in self._children or head[:6] != bytes((*b"TREE", kind, level - 1)):
                return "a tree of its structure is damaged"
            self._children.add(child)
        return ""

    def _long_array(self, start: int, content: bytes) -> str:
        at = _LONGEST_ARRAY_AT[content[:4]]
        return "an array of its structure is damaged" if self._number(content, at, 8) > self._length else ""

    def _deep_tree(self, start: int, content: bytes) -> str:
        return (
            "a tree of its structure is damaged"
            if self._number(content, _DEPTH_AT, 2) > _DEEPEST_TREE
            else ""
        )

    def _number(self, content: bytes, at: int, size: int) -> int:
        return int.from_bytes(content[at : at + size], "little")
