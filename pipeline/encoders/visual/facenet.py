"""Faces by InceptionResnetV1 of facenet-pytorch, which was trained to tell the people of VGGFace2 apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline import runtime
from pipeline.encoders.weights import Weights
from pipeline.params import WeightsParams

TELLS_PEOPLE_APART = True
# A batch bounds the memory that activations need.
BATCH_FACES = 20
SIZE_PX = 160
"""Side of the pictures that it was trained with."""
DIMENSION = 512


class Params(WeightsParams):
    """InceptionResnetV1, and whether length counts."""

    kind: Literal["facenet"] = "facenet"
    unit_length: bool = True
    """Whether each face's embedding is brought to length 1, as faces are compared; the values before that
    tell by their length how clear a face is."""


@dataclass(frozen=True)
class Encoder:
    """InceptionResnetV1, not loaded."""

    key: str
    """The section of params.yaml, for errors."""
    path: Path
    """A file of weights, or a folder with model.safetensors."""
    params: Params
    description: str
    """In plain words."""
    digest: tuple[tuple[str, str], ...]
    """Name and SHA-256 of the files."""

    libraries = ("torch", "torchvision", "facenet-pytorch")
    dimension = DIMENSION

    @property
    def settings(self) -> dict[str, object]:
        """What defines its embeddings; weights count by their content, wherever they lie."""
        return {"encoder": self.params.defining(), "weights": dict(self.digest)}

    def embed(self, faces: np.ndarray) -> np.ndarray:
        """Embeddings float32 [F, 512] of RGB faces uint8 [F, size, size, 3]."""
        import torch

        from pipeline.encoders.pictures import resized

        network = _load_network(self)
        device = next(network.parameters()).device
        pixels = torch.from_numpy(faces).to(device).permute(0, 3, 1, 2)
        with torch.inference_mode():
            embeddings = [
                network((resized(batch, SIZE_PX).float() - 127.5) / 128).cpu()
                for batch in pixels.split(BATCH_FACES)
            ]
        return torch.cat(embeddings).numpy()


def find_encoder(key: str, params: Params, weights: Weights | None) -> Encoder:
    """The encoder that the params name, checked whole; UserError, naming ``key``, if it cannot be used."""
    from pipeline.encoders.pretrained import require_trained

    found = require_trained(key, weights)
    _read_network(key, found.path, params.unit_length)
    length = "of length 1" if params.unit_length else "of any length"
    return Encoder(
        key=key,
        path=found.path,
        params=params,
        description=f"InceptionResnetV1 from {params.weights} (embeddings {length})",
        digest=tuple(found.digest.items()),
    )


@lru_cache(maxsize=1)  # by the weights' digest too: a worker of a cluster lives longer than a file does
def _load_network(encoder: Encoder) -> Any:
    """One network per process, where it computes."""
    from pipeline.encoders.pretrained import prepare_torch

    prepare_torch()
    return _read_network(encoder.key, encoder.path, encoder.params.unit_length).to(runtime.device())


def _read_network(key: str, path: Path, unit_length: bool) -> Any:
    """The network; UserError unless the file has all of its weights, and but the classifier's besides."""
    import torch
    from facenet_pytorch import InceptionResnetV1

    from pipeline.encoders.resnets.weights_file import fill_network

    with torch.device("meta"):
        network = InceptionResnetV1()
    fill_network(key, path, network, "InceptionResnetV1", left_out="logits.")
    if not unit_length:  # what it would classify by is the embedding before it is scaled
        network.classify, network.logits = True, torch.nn.Identity()
    return network.eval()
