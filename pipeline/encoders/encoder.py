"""What encoders of faces and of sound have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pipeline.errors import UserError


class Encoder(Protocol):
    """What turns something into vectors; small enough to be sent to workers."""

    @property
    def dimension(self) -> int:
        """D, of its vectors."""
        ...

    @property
    def description(self) -> str:
        """In plain words; begins with UNTRAINED where the weights are random."""
        ...

    @property
    def settings(self) -> dict[str, object]:
        """What defines its vectors, as JSON values: params (``encoder``), digests of files (``weights``)."""
        ...

    @property
    def libraries(self) -> Sequence[str]:
        """Distributions whose versions define its vectors."""
        ...


def runs_network(encoder: Encoder) -> bool:
    """Whether it computes with torch, on a GPU where there is one."""
    return "torch" in encoder.libraries


def require_finite(vector: np.ndarray, utterance: str, encoder: str) -> None:
    """UserError, naming the utterance and the encoder, unless all numbers are finite."""
    if not np.isfinite(vector).all():
        raise UserError(
            f"{utterance}: the {encoder} gives numbers that are not finite; are its weights sound?"
        )
