"""Which arrays a feature file has, of which types and shapes: what is known of it before it is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from pipeline.features.content import UTTERANCE_COLUMNS, Features
from pipeline.store.opening.contents import TEXT, ArrayKind

ROWS, COLUMNS = "N", "D"
_UTTERANCES = dict.fromkeys(UTTERANCE_COLUMNS, "text") | {
    "position": "int64", "label": "int64", "start_s": "float64", "end_s": "float64",
}  # fmt: skip
TEXT_COLUMNS = tuple(name for name, kind in _UTTERANCES.items() if kind == "text")
_MODALITY = {
    "features": ("float32", (ROWS, COLUMNS)),
    "observed": ("bool", (ROWS,)),
    "reason": ("text", (ROWS,)),
    "digest": ("text", (ROWS,)),
    "minimum": ("float32", (COLUMNS,)),
    "maximum": ("float32", (COLUMNS,)),
    "feature_name": ("text", (COLUMNS,)),
}
_OPTIONAL = ("feature_name",)
_COMPUTED = ("digest", "minimum", "maximum")
"""By the writer."""


def layout_problems(arrays: Mapping[str, ArrayKind], written: bool = True) -> list[str]:
    """What is missing, foreign, or of another type or shape; ``written`` if it has what the writer adds."""
    modalities = list_modalities(arrays)
    expected: dict[str, tuple[str, tuple[str, ...]]] = {
        f"utterances/{name}": (kind, (ROWS,)) for name, kind in _UTTERANCES.items()
    }
    expected |= {f"{each}/{name}": wanted for each in modalities for name, wanted in _MODALITY.items()}
    optional = _OPTIONAL if written else (*_OPTIONAL, *_COMPUTED)
    problems = [
        f"{name} is missing" for name in expected if name not in arrays and name.split("/")[1] not in optional
    ]
    problems += [f"{name} is not part of the format" for name in arrays if name not in expected]
    problems += [f"{name!r} is no name of a modality" for name in modalities if not name.isidentifier()]
    if not modalities:
        problems.append("it holds no modality")
    for name, kind in arrays.items():
        if name in expected:
            sizes = {ROWS: _size(arrays, "utterances/id", 0), COLUMNS: None}
            sizes[COLUMNS] = _size(arrays, f"{name.split('/')[0]}/features", 1)
            problems += _kind_problems(name, kind, *expected[name], sizes)
    return problems


def list_modalities(names: Iterable[str]) -> list[str]:
    """The modalities of which there are arrays, sorted."""
    return sorted({name.split("/")[0] for name in names if "/" in name} - {"utterances"})


def kinds_of(features: Features) -> dict[str, ArrayKind]:
    """What the arrays in memory would be in a file."""
    arrays = {f"utterances/{name}": getattr(features, name) for name in UTTERANCE_COLUMNS}
    for modality, content in features.modalities.items():
        named = {f"{modality}/{name}": getattr(content, name, None) for name in _MODALITY}
        arrays |= {name: array for name, array in named.items() if array is not None}
    return {
        name: ArrayKind(TEXT if array.dtype.kind in "UO" else array.dtype, array.shape)
        for name, array in arrays.items()
    }


def _size(arrays: Mapping[str, ArrayKind], name: str, axis: int) -> int | None:
    """How long an array is along an axis; None if it has none such."""
    shape = arrays[name].shape if name in arrays else ()
    return shape[axis] if len(shape) > axis else None


def _kind_problems(
    name: str, found: ArrayKind, wanted: str, axes: Sequence[str], sizes: Mapping[str, int | None]
) -> list[str]:
    dtype = "text" if found.dtype == TEXT else str(found.dtype)
    # Other software may write whole numbers or seconds in fewer bits.
    alike = found.dtype.kind in {"int64": "iu", "float64": "f"}.get(wanted, "")
    holds = dtype == wanted or (alike and np.can_cast(found.dtype, wanted))
    problems = [] if holds else [f"{name} is {dtype}, not {wanted}"]
    fits = len(found.shape) == len(axes) and all(
        sizes[axis] in (None, length) for axis, length in zip(axes, found.shape, strict=True)
    )
    if not fits:
        shape = ", ".join(f"{axis} = {sizes[axis]}" for axis in axes)
        problems.append(f"{name} has the shape {list(found.shape)}, not [{shape}]")
    return problems
