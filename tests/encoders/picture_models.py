"""Tiny encoders of pictures of every family, as folders that transformers wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import save_for_hf
from transformers import (
    AutoModel,
    BaseImageProcessor,
    BeitConfig,
    BeitImageProcessor,
    BitImageProcessor,
    CLIPConfig,
    CLIPImageProcessor,
    ConvNextConfig,
    ConvNextImageProcessor,
    ConvNextV2Config,
    Dinov2Config,
    Dinov2WithRegistersConfig,
    PretrainedConfig,
    PreTrainedModel,
    SiglipConfig,
    SiglipImageProcessor,
    SwinConfig,
    ViTConfig,
    ViTImageProcessor,
)

SIZE: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "image_size": 32, "patch_size": 8,
}  # fmt: skip
WORDS: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24,
    "vocab_size": 50, "projection_dim": 12,
}  # fmt: skip
STAGES: dict[str, Any] = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1], "image_size": 32}
CONFIGS: dict[str, PretrainedConfig] = {
    "clip": CLIPConfig(text_config=WORDS, vision_config={**SIZE, "projection_dim": 12}, projection_dim=12),
    "siglip": SiglipConfig(text_config=WORDS, vision_config=SIZE),
    "dinov2": Dinov2Config(**{**SIZE, "image_size": 48}, mlp_ratio=2),  # its pictures are smaller than that
    "dinov2_with_registers": Dinov2WithRegistersConfig(**{**SIZE, "image_size": 48}, mlp_ratio=2),
    "vit": ViTConfig(**SIZE),
    "beit": BeitConfig(**SIZE, use_mean_pooling=True),
    "convnext": ConvNextConfig(**STAGES),
    "convnextv2": ConvNextV2Config(**STAGES),
    "swin": SwinConfig(
        image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4
    ),
}
SQUARE = {"height": 32, "width": 32}
# As the published ones are: those that cut the centre out resize to more before.
PROCESSORS: dict[str, BaseImageProcessor] = {
    "clip": CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=SQUARE),
    "siglip": SiglipImageProcessor(size=SQUARE),
    "dinov2": BitImageProcessor(size={"shortest_edge": 37}, crop_size=SQUARE),
    "dinov2_with_registers": BitImageProcessor(size={"shortest_edge": 37}, crop_size=SQUARE),
    "vit": ViTImageProcessor(size=SQUARE),
    "beit": BeitImageProcessor(size={"height": 37, "width": 37}, do_center_crop=True, crop_size=SQUARE),
    "convnext": ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=0.875),
    "convnextv2": ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=0.875),
    "swin": ViTImageProcessor(size=SQUARE),
}


def save_timm_model(folder: Path) -> Path:
    """A random ViT that timm saved, with a classifier of three classes."""
    torch.manual_seed(0)
    size = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
    network = timm.create_model("vit_tiny_patch16_224", num_classes=3, **size)
    save_for_hf(network, str(folder), model_args=size, safe_serialization=True)
    return folder


def save_model(folder: Path, name: str, network: PreTrainedModel | None = None) -> Path:
    """A random network of a family, or one that is given, and what goes before it."""
    torch.manual_seed(0)
    (network or AutoModel.from_config(CONFIGS[name])).save_pretrained(folder)
    PROCESSORS[name].save_pretrained(folder)
    return folder
