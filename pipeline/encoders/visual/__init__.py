"""Encoders of faces: one module per kind, with its ``Params`` and ``find_encoder``; nothing else.

``find_encoder(key, params, weights)`` returns a ``VisualEncoder``, checked whole.  A kind's heavy libraries
are imported where they are used, so that reading params.yaml stays quick.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from pipeline.encoders.encoder import Encoder


class VisualEncoder(Encoder, Protocol):
    """What turns faces into vectors."""

    def embed(self, faces: np.ndarray) -> np.ndarray:
        """Embeddings float32 [F, D] of RGB faces uint8 [F, size, size, 3]."""
        ...
