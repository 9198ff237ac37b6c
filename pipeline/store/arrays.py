"""Named arrays of several parts, put together."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pipeline.store.h5 import Arrays


def stack(parts: Iterable[Arrays], empty: Arrays) -> Arrays:
    """Arrays of all parts, one below the other; ``empty`` has the names, types and row shapes."""
    columns: dict[str, list[np.ndarray]] = {name: [array] for name, array in empty.items()}
    for part in parts:
        for name, column in columns.items():
            column.append(part[name])
    return {name: np.concatenate(column) for name, column in columns.items()}
