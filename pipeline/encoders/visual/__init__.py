"""Encoders of faces or of whole frames: one module per kind, with its ``Params`` and ``find_encoder``.

``find_encoder(key, params, weights)`` returns a ``VisualEncoder``, checked whole; or, where the module has
``READS_FRAMES = True``, a ``FrameEncoder``, for which no faces are looked for.  ``TELLS_PEOPLE_APART = True``
says that it was trained to.  A kind's heavy libraries are imported where they are used, so that reading
params.yaml stays quick.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from pipeline.encoders.encoder import Encoder
from pipeline.errors import UserError
from pipeline.params import PARAMS_FILE, SPEAKER, CorpusParams, VisualParams, read_kind

KINDS = "pipeline.encoders.visual"


class VisualEncoder(Encoder, Protocol):
    """What turns faces into vectors."""

    def embed(self, faces: np.ndarray) -> np.ndarray:
        """Embeddings float32 [F, D] of RGB faces uint8 [F, size, size, 3]."""
        ...


class FrameEncoder(Encoder, Protocol):
    """What turns the frames of an utterance into a vector."""

    @property
    def frames_per_utterance(self) -> int:
        """Most frames that it gets, which lie evenly over the utterance."""
        ...

    def shrink(self, frame: np.ndarray) -> np.ndarray:
        """What is kept of an RGB frame uint8 [height, width, 3], of one shape whatever the frame's."""
        ...

    def embed(self, frames: np.ndarray) -> np.ndarray:
        """Vector float32 [D] of at least one frame, shrunk, uint8 [n, ...]."""
        ...


def finds_faces(corpus: str, params: CorpusParams) -> bool:
    """Whether faces are looked for: not where the picture is not used, or used as a whole.

    UserError where a choice among faces is asked of an encoder of whole pictures.
    """
    if "visual" not in params.modalities:
        return False
    key = f"corpora.{corpus}.visual"
    kind = read_kind(KINDS, params.encoder("visual"), f"{key}.encoder")
    reads_frames = getattr(kind.module, "READS_FRAMES", False)
    if reads_frames and params.visual.pooling != VisualParams.model_fields["pooling"].default:
        raise UserError(
            f"{PARAMS_FILE}: {key}.pooling is of faces, and {kind.params.kind} takes whole pictures: delete"
            " it (and who_is_who), or choose an encoder of faces"
        )
    return not reads_frames


def finds_speakers(corpus: str, params: CorpusParams) -> bool:
    """Whether the speaker is looked for among the faces.

    UserError where ``who_is_who`` is asked of an encoder that was not trained to tell people apart.
    """
    if params.visual.pooling != SPEAKER or not finds_faces(corpus, params):
        return False
    key = f"corpora.{corpus}.visual"
    kind = read_kind(KINDS, params.encoder("visual"), f"{key}.encoder")
    if params.visual.who_is_who and not getattr(kind.module, "TELLS_PEOPLE_APART", False):
        raise UserError(
            f"{PARAMS_FILE}: {key}.who_is_who needs an encoder that was trained to tell people apart, such as"
            f" facenet; {params.encoder('visual').kind} was not"
        )
    return True
