"""Files of tensors of a model, which may come from elsewhere: read whole and as expected, or refused."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pipeline.errors import UserError
from pipeline.store.keys import file_digest

_HEADER_BYTES = 10_000
"""That a tensor's name, type and place take at most."""
_SHOWN = 5


def read_tensors(
    path: Path, expected: Mapping[str, Tensor], sha256: str | None, may_be_infinite: Collection[str] = ()
) -> dict[str, Tensor]:
    """The tensors of a file, on the CPU, which must be finite and exactly those expected.

    ``expected`` has their shapes and types, and may be on the device ``meta``.  ``sha256`` is the digest that
    the file was saved with.  UserError naming what differs.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file, though the model names it; fetch or train the model again")
    most_bytes = sum(tensor.nbytes for tensor in expected.values()) + _HEADER_BYTES * (len(expected) + 1)
    try:
        if path.stat().st_size > most_bytes:
            raise SafetensorError("it is larger than what belongs into it")
        tensors = load_file(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error}); mend its permissions or its disk") from None
    except SafetensorError as error:
        raise UserError(f"{path}: damaged ({error}); fetch or train the model again") from None
    problems = [*_differences(tensors, expected)]
    if problems:
        raise UserError(f"{path}: does not fit the model: {_shown(problems, '; ')}; train the model again")
    finite = {
        name: ~tensor.isnan() if name in may_be_infinite else tensor.isfinite()
        for name, tensor in tensors.items()
    }
    if broken := [name for name, right in finite.items() if not right.all()]:
        raise UserError(
            f"{path}: holds what is no number in {_shown(broken, ', ')}; fetch or train the model again"
        )
    if file_digest(path) != sha256:
        raise UserError(
            f"{path}: not the file that the model was saved with: of another training, or changed since;"
            " fetch or train the model again"
        )
    return tensors


def _differences(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Iterator[str]:
    yield from (f"lacks {name}" for name in expected if name not in tensors)
    yield from (f"has a foreign {name[:80]!r}" for name in tensors if name not in expected)
    for name, wanted in expected.items():
        found = tensors.get(name, wanted)
        if found.shape != wanted.shape:
            yield f"{name} is {tuple(found.shape)} instead of {tuple(wanted.shape)}"
        elif found.dtype != wanted.dtype:
            yield f"{name} is {found.dtype} instead of {wanted.dtype}"


def _shown(words: list[str], separator: str) -> str:
    more = f"{separator}and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return separator.join(words[:_SHOWN]) + more
