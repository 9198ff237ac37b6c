"""Whole pictures by a 3D-CNN of torchvision, trained on Kinetics-400: what the paper's ablation puts in the
place of faces [5.3]."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from pipeline import runtime
from pipeline.encoders.weights import Weights
from pipeline.params import WeightsParams

READS_FRAMES = True

FRAMES_PER_CLIP = 16
# Of Kinetics-400's training pictures, as torchvision documents them.
MEAN, STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)


class _Network(NamedTuple):
    name: str
    height_px: int
    width_px: int
    dimension: int
    head: str
    """The module that classifies."""


NETWORKS = {
    "r2plus1d_18": _Network("R(2+1)D-18", 128, 171, 512, "fc"),
    "r3d_18": _Network("R3D-18", 128, 171, 512, "fc"),
    "mc3_18": _Network("MC3-18", 128, 171, 512, "fc"),
    "s3d": _Network("S3D", 256, 256, 1024, "classifier"),
}


class Params(WeightsParams):
    """A 3D-CNN, and how many clips of an utterance it sees."""

    kind: Literal["scene"] = "scene"
    architecture: Literal["r2plus1d_18", "r3d_18", "mc3_18", "s3d"] = "r2plus1d_18"
    """Which ``weights``, a file of torchvision, must fit."""
    clips_per_utterance: Annotated[int, Field(ge=1)] = 3
    """Clips of 16 frames, one after the other over the whole utterance; their mean stands for it.  Three give
    15 frames a second, as in training, where an utterance lasts 3.2 s."""


@dataclass(frozen=True)
class Encoder:
    """A 3D-CNN, not loaded."""

    key: str
    """The section of params.yaml, for errors."""
    path: Path
    """The file of its weights."""
    params: Params
    digest: tuple[tuple[str, str], ...]
    """SHA-256 of the file."""

    libraries = ("torch", "torchvision")

    @property
    def dimension(self) -> int:
        """D, of its embeddings."""
        return NETWORKS[self.params.architecture].dimension

    @property
    def description(self) -> str:
        """In plain words."""
        network = NETWORKS[self.params.architecture]
        clips = self.params.clips_per_utterance
        return f"{network.name} of whole pictures from {self.params.weights} ({clips} clips an utterance)"

    @property
    def settings(self) -> dict[str, object]:
        """What defines its embeddings; weights count by their content, wherever they lie."""
        return {"encoder": self.params.defining(), "weights": dict(self.digest)}

    @property
    def frames_per_utterance(self) -> int:
        """Most frames that it gets of an utterance."""
        return self.params.clips_per_utterance * FRAMES_PER_CLIP

    def shrink(self, image: np.ndarray) -> np.ndarray:
        """A whole picture uint8 [height, width, 3] in the network's size, nothing cut off."""
        import torch
        from torchvision.transforms.functional import resize

        network = NETWORKS[self.params.architecture]
        pixels = torch.from_numpy(image).permute(2, 0, 1).contiguous()
        # Without antialiasing, as it was trained.
        small = resize(pixels, [network.height_px, network.width_px], antialias=False)
        return small.permute(1, 2, 0).numpy()

    def embed(self, frames: np.ndarray) -> np.ndarray:
        """Vector float32 [D] of shrunk frames uint8 [n, height, width, 3]: the mean over clips of 16."""
        import torch

        network = _load_network(self)
        device = next(network.parameters()).device
        mean, std = (torch.tensor(each, device=device).view(3, 1, 1, 1) for each in (MEAN, STD))
        embeddings = []
        with torch.inference_mode():
            # One at a time bounds the memory that activations need.
            for clip in torch.from_numpy(cut_clips(frames)):
                values = (clip.to(device).permute(3, 0, 1, 2).float() / 255 - mean) / std
                embeddings.append(network(values[None]).cpu())
        return torch.cat(embeddings).numpy().mean(axis=0)


def cut_clips(frames: np.ndarray) -> np.ndarray:
    """Frames [n, ...] as clips [K, 16, ...], one after the other: K = n / 16, and 1 where there are fewer.

    Where n is no multiple of 16, some frames are left out, or in a short clip shown more than once, evenly.
    """
    count = max(1, len(frames) // FRAMES_PER_CLIP) * FRAMES_PER_CLIP
    chosen = [place * len(frames) // count for place in range(count)]
    return frames[chosen].reshape(-1, FRAMES_PER_CLIP, *frames.shape[1:])


def find_encoder(key: str, params: Params, weights: Weights | None) -> Encoder:
    """The encoder that the params name, checked whole; UserError, naming ``key``, if it cannot be used."""
    from pipeline.encoders.pretrained import require_trained

    found = require_trained(key, weights)
    _read_network(key, found.path, params.architecture)
    return Encoder(key, found.path, params, tuple(found.digest.items()))


@lru_cache(maxsize=1)  # by the weights' digest too: a worker of a cluster lives longer than a file does
def _load_network(encoder: Encoder) -> Any:
    """One network per process, where it computes."""
    from pipeline.encoders.pretrained import prepare_torch

    prepare_torch()
    return _read_network(encoder.key, encoder.path, encoder.params.architecture).to(runtime.device())


def _read_network(key: str, path: Path, architecture: str) -> Any:
    """The network without what classifies; UserError unless the file has exactly its weights."""
    import torch
    from torchvision.models import get_model

    from pipeline.encoders.resnets.weights_file import fill_network

    kind = NETWORKS[architecture]
    with torch.device("meta"):
        network = get_model(architecture, weights=None)
    fill_network(key, path, network, kind.name)
    setattr(network, kind.head, torch.nn.Identity())
    return network.eval()
