"""Encoders of sound: one module per kind, with its ``Params`` and ``find_encoder``; nothing else.

``find_encoder(key, params, weights)`` returns an ``AudioEncoder``, checked whole.  A kind's heavy libraries
are imported where they are used, so that reading params.yaml stays quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

# Of the mono sound that every encoder gets.
SAMPLE_RATE_HZ = 16_000


class AudioEncoder(Protocol):
    """What turns the sound of an utterance into a vector; small enough to be sent to workers."""

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

    @property
    def feature_names(self) -> Sequence[str]:
        """Names of the D features; empty where they have none."""
        ...

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """Vector float32 [D] of mono samples float32 [n] in [-1, 1] at SAMPLE_RATE_HZ, all finite.

        MediaError for sound that cannot be described, such as what is too short.
        """
        ...
