"""Where the kinds of each modality's encoder are, for who looks at all modalities alike."""

from __future__ import annotations

from typing import Any, TypeGuard

from pipeline.params import UNTRAINED, CorpusParams, KindOf, Modality, WeightsParams, read_kind

ENCODERS = {
    "text": "pipeline.encoders.text",
    "audio": "pipeline.encoders.audio",
    "visual": "pipeline.encoders.visual",
}
"""Package of the kinds, by modality."""


def encoder_key(corpus: str, modality: Modality) -> str:
    """Where an encoder stands in params.yaml."""
    return f"corpora.{corpus}.{modality}.encoder"


def read_encoder(corpus: str, params: CorpusParams, modality: Modality) -> KindOf:
    """The kind of a modality's encoder and its params; UserError, naming the key, if they are wrong."""
    return read_kind(ENCODERS[modality], params.encoder(modality), encoder_key(corpus, modality))


def names_weights(params: Any) -> TypeGuard[WeightsParams]:
    """Whether an encoder's params name weights: not those of a kind without any, nor of an untrained one."""
    return isinstance(params, WeightsParams) and params.weights != UNTRAINED
