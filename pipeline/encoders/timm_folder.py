"""Encoders of pictures as timm saves them: a folder with config.json and model.safetensors.

timm itself reads them.  transformers' wrapper of it does not read what newer versions of timm write.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError

from pipeline.errors import UserError

# What timm raises where config and weights are not what they should be.
_TROUBLE = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, AssertionError),
    SafetensorError,
)


class TimmModel(NamedTuple):
    """A network without what classifies, whose output [F, D] is timm's feature of each picture."""

    architecture: str
    processor: Any
    """What brings pictures to its size and normalises them, of transformers."""
    network: Any


def is_of_timm(folder: Path) -> bool:
    """Whether a model's folder is in timm's form."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and {"architecture", "pretrained_cfg"} <= config.keys()


def read_timm(key: str, folder: Path) -> TimmModel:
    """The model in a folder of timm's; UserError, naming ``key``, if it cannot be read."""
    from PIL import Image
    from transformers import ViTImageProcessor

    try:
        import timm
    except ImportError as error:
        raise UserError(
            f"{key}: {folder} is a model of timm, which is not installed: pip install -e '.[timm]'"
        ) from error
    if not (folder / "model.safetensors").is_file():
        raise UserError(f"{key}: {folder} holds no model.safetensors, which a model of timm should have")
    try:
        network: Any = timm.create_model(f"local-dir:{folder}", pretrained=True)
        network.reset_classifier(0)
        data = timm.data.resolve_model_data_config(network)
        _, height_px, width_px = data["input_size"]
        processor = ViTImageProcessor(
            size={"height": height_px, "width": width_px},
            image_mean=data["mean"],
            image_std=data["std"],
            resample=Image.Resampling[data["interpolation"].upper()],
        )
    except _TROUBLE as error:
        raise UserError(f"{key}: {folder} cannot be loaded: {' '.join(str(error).split())[:300]}") from error
    return TimmModel(network.pretrained_cfg["architecture"], processor, network.eval())
