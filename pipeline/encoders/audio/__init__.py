"""Encoders of sound: one module per kind, with its ``Params`` and ``find_encoder``; nothing else.

``find_encoder(key, params, weights)`` returns an ``AudioEncoder``, checked whole.  A kind's heavy libraries
are imported where they are used, so that reading params.yaml stays quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pipeline.encoders.encoder import Encoder
from pipeline.media.decoding import MediaError

# Of the mono sound that every encoder gets.
SAMPLE_RATE_HZ = 16_000


class AudioEncoder(Encoder, Protocol):
    """What turns the sound of an utterance into a vector."""

    @property
    def feature_names(self) -> Sequence[str]:
        """Names of the D features; empty where they have none."""
        ...

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """Vector float32 [D] of mono samples float32 [n] in [-1, 1] at SAMPLE_RATE_HZ, all finite.

        MediaError for sound that cannot be described, such as what is too short.
        """
        ...


class BatchEncoder(AudioEncoder, Protocol):
    """An ``AudioEncoder`` that gains by several sounds at once on a GPU."""

    def embed_together(self, sounds: Sequence[np.ndarray]) -> Sequence[np.ndarray | MediaError]:
        """Of each sound what ``embed`` gives of it, but for rounding, or raises."""
        ...
