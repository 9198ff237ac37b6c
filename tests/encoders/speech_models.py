"""Tiny speech models of every family, as folders that transformers wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModel,
    Data2VecAudioConfig,
    HubertConfig,
    PreTrainedModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    WavLMConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
)

SIZE: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 5, "num_attention_heads": 2, "intermediate_size": 24,
    "conv_dim": (8,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
BASE: dict[str, Any] = {"feat_extract_norm": "group"}
LARGE: dict[str, Any] = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
CONFIGS = {
    "wavlm, base": WavLMConfig(**SIZE, **BASE),
    "wavlm, large": WavLMConfig(**SIZE, **LARGE),
    "hubert, base": HubertConfig(**SIZE, **BASE),
    "hubert, large": HubertConfig(**SIZE, **LARGE),
    "wav2vec2, base": Wav2Vec2Config(**SIZE, **BASE),
    "wav2vec2, large": Wav2Vec2Config(**SIZE, **LARGE),
    "data2vec": Data2VecAudioConfig(**SIZE, mask_time_prob=0.0),
    "whisper": WhisperConfig(
        d_model=16, encoder_layers=5, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=24, decoder_ffn_dim=24, num_mel_bins=80, vocab_size=40, pad_token_id=1,
        bos_token_id=2, eos_token_id=3, decoder_start_token_id=4, suppress_tokens=None,
    ),
}  # fmt: skip
"""The families; of the small models' kind, and of the large ones', which normalise elsewhere."""


def save_model(folder: Path, name: str = "wavlm, base", network: PreTrainedModel | None = None) -> Path:
    """A random network of a family, or one that is given, and what goes before it."""
    torch.manual_seed(0)
    (network or AutoModel.from_config(CONFIGS[name])).save_pretrained(folder)
    if name == "whisper":
        WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    else:
        Wav2Vec2FeatureExtractor(do_normalize=name.endswith("large")).save_pretrained(folder)
    return folder
