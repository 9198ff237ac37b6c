"""Encoders of text: one module per kind, with its ``Params`` and ``find_encoder``; nothing else.

``find_encoder(key, params, weights)`` returns a ``TextEncoder``, checked as far as that is possible unloaded.
A kind's heavy libraries are imported where they are used, so that reading params.yaml stays quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipeline.manifest import Utterance
from pipeline.params import WindowParams

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class TextEncoder(Protocol):
    """What reads text; a model of transformers, so that anyone can load what fine-tuning makes of it."""

    @property
    def path(self) -> Path | None:
        """Its folder; None if it is untrained."""
        ...

    @property
    def description(self) -> str:
        """In plain words; begins with UNTRAINED where the weights are random."""
        ...

    @property
    def settings(self) -> dict[str, object]:
        """What defines it, as JSON values: params as ``encoder``, digests of files as ``weights``."""
        ...

    def load(
        self, utterances: Sequence[Utterance], labels: Sequence[str], window: WindowParams, seed: int
    ) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
        """Tokenizer, and network with a new head for ``labels``, made of ``seed``.

        An untrained one learns its words from ``utterances``.  UserError where it lacks weights or reads
        fewer tokens than the window has.
        """
        ...
