"""Encoders of faces: one module per kind, with its ``Params`` and ``find_encoder``; nothing else.

``find_encoder(key, params, weights)`` returns a ``VisualEncoder``, checked whole.  A kind's heavy libraries
are imported where they are used, so that reading params.yaml stays quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class VisualEncoder(Protocol):
    """What turns faces into vectors; small enough to be sent to workers."""

    @property
    def dimension(self) -> int:
        """D, of its embeddings."""
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
        """Distributions whose versions define its embeddings."""
        ...

    def embed(self, faces: np.ndarray) -> np.ndarray:
        """Embeddings float32 [F, D] of RGB faces uint8 [F, size, size, 3]."""
        ...
