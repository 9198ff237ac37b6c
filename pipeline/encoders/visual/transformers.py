"""Faces by an encoder of transformers: CLIP, SigLIP, DINOv2, ViT, BEiT, ConvNeXt, Swin; or by one of timm."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from pipeline import runtime
from pipeline.encoders.timm_folder import is_of_timm, read_timm
from pipeline.encoders.weights import Weights
from pipeline.errors import UserError
from pipeline.params import WeightsParams

if TYPE_CHECKING:
    from torch import Tensor

# A batch bounds the memory that activations need.
BATCH_FACES = 20
LIBRARIES = ("torch", "torchvision", "transformers")
CLS = "CLS token"
ALL = "the output"


class _Family(NamedTuple):
    name: str
    network: str
    """Class of transformers; of a model of pictures and text, that of its pictures' half."""
    feature: str
    """What its makers take for the whole picture: the name of an output, the last layer's CLS token, or all
    that there is."""


_CLIP = _Family("CLIP", "CLIPVisionModelWithProjection", "image_embeds")
_SIGLIP = _Family("SigLIP", "SiglipVisionModel", "pooler_output")
FAMILIES = {
    "clip": _CLIP,
    "clip_vision_model": _CLIP,
    "siglip": _SIGLIP,
    "siglip_vision_model": _SIGLIP,
    "dinov2": _Family("DINOv2", "Dinov2Model", "pooler_output"),
    "dinov2_with_registers": _Family("DINOv2", "Dinov2WithRegistersModel", "pooler_output"),
    # Classifiers have no use for its pooler, which is untrained in their files.
    "vit": _Family("ViT", "ViTModel", CLS),
    "beit": _Family("BEiT", "BeitModel", "pooler_output"),
    "convnext": _Family("ConvNeXt", "ConvNextModel", "pooler_output"),
    "convnextv2": _Family("ConvNeXt V2", "ConvNextV2Model", "pooler_output"),
    "swin": _Family("Swin", "SwinModel", "pooler_output"),
}


class Params(WeightsParams):
    """An encoder of pictures."""

    kind: Literal["transformers"] = "transformers"


@dataclass(frozen=True)
class Encoder:
    """An encoder of pictures, not loaded."""

    key: str
    """The section of params.yaml, for errors."""
    path: Path
    """Its folder."""
    params: Params
    dimension: int
    """D, of its embeddings."""
    description: str
    """In plain words."""
    digest: tuple[tuple[str, str], ...]
    """Name and SHA-256 of the folder's files."""
    libraries: tuple[str, ...]
    """Distributions whose versions define its embeddings."""

    @property
    def settings(self) -> dict[str, object]:
        """What defines its embeddings; weights count by their content, wherever they lie."""
        return {"encoder": self.params.defining(), "weights": dict(self.digest)}

    def embed(self, faces: np.ndarray) -> np.ndarray:
        """Embeddings float32 [F, D] of RGB faces uint8 [F, size, size, 3], whose edges are kept.

        They are brought to the model's size, where theirs is another, and never cut.
        """
        import torch

        model = _load_model(self)
        pixels = torch.from_numpy(faces).to(model.device).permute(0, 3, 1, 2)
        return torch.cat([model.embed(batch).cpu() for batch in pixels.split(BATCH_FACES)]).numpy()


@dataclass(frozen=True)
class _Model:
    """A loaded network with what goes before it."""

    family: _Family
    processor: Any
    network: Any

    @property
    def device(self) -> Any:
        """Where it computes."""
        return next(self.network.parameters()).device

    @property
    def size_px(self) -> int:
        """Side of the pictures that it wants."""
        cropped = getattr(self.processor, "do_center_crop", False)
        size = self.processor.crop_size if cropped else self.processor.size
        found: int = size.get("height") or size["shortest_edge"]
        return found

    def embed(self, pixels: Tensor) -> Tensor:
        """Embeddings float32 [F, D] of RGB pixels uint8 [F, 3, H, H]."""
        import torch
        from PIL import Image

        from pipeline.encoders.pictures import resized

        filter_name = Image.Resampling(self.processor.resample).name
        values = self.processor(
            list(resized(pixels, self.size_px, filter_name)),
            do_resize=False,
            do_center_crop=False,
            input_data_format="channels_first",
            return_tensors="pt",
        ).pixel_values
        with torch.inference_mode():
            output = self.network(values.to(pixels.device))
        if self.family.feature == ALL:
            return output.float()
        if self.family.feature == CLS:
            return output.last_hidden_state[:, 0].float()
        return output[self.family.feature].float()


def find_encoder(key: str, params: Params, weights: Weights | None) -> Encoder:
    """The encoder that the params name, checked whole; UserError, naming ``key``, if it cannot be used."""
    import torch

    from pipeline.encoders.pretrained import require_trained

    found = require_trained(key, weights)
    model = _read_model(key, found.path)
    size_px = model.size_px
    try:
        blank = model.embed(torch.zeros((1, 3, size_px, size_px), dtype=torch.uint8))
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"{key}: {found.path} does not read the pictures of {size_px} px that its"
            f" preprocessor_config.json names: {' '.join(str(error).split())[:200]}"
        ) from error
    return Encoder(
        key=key,
        path=found.path,
        params=params,
        dimension=blank.shape[1],
        description=f"{model.family.name} from {params.weights} (pictures of {size_px} px)",
        digest=tuple(found.digest.items()),
        libraries=(*LIBRARIES, "timm") if is_of_timm(found.path) else LIBRARIES,
    )


@lru_cache(maxsize=1)  # by the weights' digest too: a worker of a cluster lives longer than a file does
def _load_model(encoder: Encoder) -> _Model:
    """One network per process, where it computes."""
    model = _read_model(encoder.key, encoder.path)
    model.network.to(runtime.device())
    return model


def _read_model(key: str, path: Path) -> _Model:
    import transformers

    from pipeline.encoders.pretrained import family_of, load_pretrained, prepare_torch, read_processor

    prepare_torch()
    if is_of_timm(path):
        found = read_timm(key, path)
        return _Model(_Family(f"timm's {found.architecture}", "", ALL), found.processor, found.network)
    family = FAMILIES[family_of(path, key, FAMILIES, "encoder of pictures")]
    # There are two, which resize and round a little differently.
    processor = read_processor(transformers.AutoImageProcessor, path, key, backend="torchvision")
    options: dict[str, Any] = {"add_pooling_layer": False} if family.feature == CLS else {}
    network = load_pretrained(getattr(transformers, family.network), path, key, **options)
    return _Model(family, processor, network.eval())
