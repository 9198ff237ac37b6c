"""Pickles of dicts, lists, tuples, text, numbers and arrays that any Python 3 and any NumPy can read.

NumPy's own way of pickling names a module that NumPy 2 has moved, so that the NumPy 1 of older
codebases cannot read it.  Here an array is a call of ``numpy.ndarray`` or ``numpy.array``, which
all versions have, and a reader need trust nothing else.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.store.atomic import write_atomically

PROTOCOL = 4
"""Of Python 3.4 and later."""


def write_pickle(path: Path, content: Any) -> None:
    """Write a pickle, atomically; the same content gives the same bytes."""
    write_atomically(path, pickle_bytes(content))


def pickle_bytes(content: Any) -> bytes:
    """The pickle of dicts, lists, tuples, text, numbers and arrays."""
    pickled = io.BytesIO()
    _Pickler(pickled, PROTOCOL).dump(content)
    return pickled.getvalue()


class _Pickler(pickle.Pickler):
    def reducer_override(self, thing: Any) -> Any:
        if not isinstance(thing, np.ndarray):
            return NotImplemented
        if thing.dtype == object:
            return np.array, (thing.tolist(), "O")
        # A bytearray, and not bytes, because a reader may write into the array.
        content = bytearray(np.ascontiguousarray(thing).tobytes())
        return np.ndarray, (thing.shape, thing.dtype.str, content)
