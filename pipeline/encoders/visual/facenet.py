"""Faces by InceptionResnetV1 of facenet-pytorch, which was trained to tell the people of VGGFace2 apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline import runtime
from pipeline.encoders.weights import Weights
from pipeline.errors import UserError
from pipeline.params import WeightsParams

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
        origin = {"weights", "revision", "sha256"}
        return {"encoder": self.params.model_dump(mode="json", exclude=origin), "weights": dict(self.digest)}

    def embed(self, faces: np.ndarray) -> np.ndarray:
        """Embeddings float32 [F, 512] of RGB faces uint8 [F, size, size, 3]."""
        import torch

        from pipeline.encoders.pictures import resized

        network = _load_network(self.key, self.path, self.params.unit_length)
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


@cache
def _load_network(key: str, path: Path, unit_length: bool) -> Any:
    """One network per process, where it computes."""
    from pipeline.encoders.pretrained import prepare_torch

    prepare_torch()
    return _read_network(key, path, unit_length).to(runtime.device())


def _read_network(key: str, path: Path, unit_length: bool) -> Any:
    """The network; UserError unless the file has all of its weights, and but the classifier's besides."""
    import torch
    from facenet_pytorch import InceptionResnetV1

    from pipeline.encoders.resnets.weights_file import read_tensors

    file = path / "model.safetensors" if path.is_dir() else path
    tensors = read_tensors(key, file)
    state = {name: tensor for name, tensor in tensors.items() if not name.startswith("logits.")}
    with torch.device("meta"):
        network = InceptionResnetV1()
    counters = {name for name in network.state_dict() if name.endswith("num_batches_tracked")}
    shapes = {name: t.shape for name, t in network.state_dict().items() if name not in counters}
    odd = [name for name in {**shapes, **state} if name not in state or state[name].shape != shapes.get(name)]
    if odd:
        raise UserError(
            f"{key}: {file} does not fit InceptionResnetV1: {len(odd)} weights are missing, left over or of"
            f" another shape ({', '.join(odd[:3])}, ...)"
        )
    network.load_state_dict(state | {name: torch.tensor(0) for name in counters}, assign=True)
    if not unit_length:  # what it would classify by is the embedding before it is scaled
        network.classify, network.logits = True, torch.nn.Identity()
    return network.eval()
