"""Faces by a bottleneck ResNet, such as the paper's ResNet-101 [3.3.3]."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from pipeline import runtime
from pipeline.encoders.weights import Weights
from pipeline.errors import UserError
from pipeline.params import UNTRAINED, Seed, WeightsParams

if TYPE_CHECKING:
    from pipeline.encoders.resnets.namings import Normalisation
    from pipeline.encoders.resnets.network import ResNet

# A batch bounds the memory that activations need.
BATCH_FACES = 20
UNTRAINED_HEAD = 1000


class Params(WeightsParams):
    """A ResNet, its weights, and which layer is the embedding."""

    kind: Literal["resnet"] = "resnet"
    architecture: Literal["resnet101", "resnet50", "senet50"] = "resnet101"
    """Which ``weights`` must fit: the paper's ResNet-101, or one of those that were published for VGGFace2,
    ResNet-50 and SE-ResNet-50."""
    naming: Literal["auto", "torchvision", "authors", "transformers", "vggface2", "dag"] = "auto"
    """How the weights name their tensors and what they want as input; ``auto`` tells by the names."""
    seed: Seed = 0
    """Seed of the weights when they are ``untrained``; without effect otherwise."""
    output: Literal["head", "penultimate"] = "head"
    """Which layer gives the feature: the classification head (the paper, 1000 values; as many as the
    head has), or the one below it (2048)."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the network's arithmetic.  ``bfloat16`` is faster where the hardware has it (GPUs since Ampere,
    CPUs with AMX or AVX512-BF16), much slower elsewhere, and changes the features by about half a percent."""


@dataclass(frozen=True)
class Encoder:
    """A ResNet, and which of its layers is the embedding."""

    path: Path | None
    """Weights that ``load_resnet`` reads; None for untrained ones."""
    params: Params
    dimension: int
    """D, of its embeddings."""
    description: str
    """In plain words."""
    digest: tuple[tuple[str, str], ...]
    """What defines its weights: name and SHA-256 of their files, or how they are made."""

    libraries = ("torch",)

    @property
    def settings(self) -> dict[str, object]:
        """What defines its embeddings; weights count by their content, wherever they lie."""
        params = {name: value for name, value in self.params.defining().items() if name != "seed"}
        return {"encoder": params, "weights": dict(self.digest)}

    def embed(self, faces: np.ndarray) -> np.ndarray:
        """Embeddings float32 [F, D] of RGB faces uint8 [F, size, size, 3]."""
        import torch

        network, normalisation = _load_network(self)
        weight = next(network.parameters())
        pixels = torch.from_numpy(faces).to(weight.device).permute(0, 3, 1, 2)
        penultimate = self.params.output == "penultimate"
        embeddings = []
        with torch.inference_mode():
            for batch in pixels.split(BATCH_FACES):
                values = normalisation.apply(batch).to(weight.dtype)
                values = values.contiguous(memory_format=torch.channels_last)
                embeddings.append(network(values, penultimate).float().cpu())
        return torch.cat(embeddings).numpy()


def find_encoder(key: str, params: Params, weights: Weights | None) -> Encoder:
    """The encoder that the params name, checked whole; UserError, naming ``key``, if it cannot be used.

    ``weights``: where they are; None for untrained ones.
    """
    from pipeline.encoders.resnets.network import ARCHITECTURES
    from pipeline.encoders.resnets.weights_file import load_resnet

    architecture = ARCHITECTURES[params.architecture]
    if weights is None:
        return Encoder(
            path=None,
            params=params,
            dimension=architecture.embedding_size if params.output == "penultimate" else UNTRAINED_HEAD,
            description=f"UNTRAINED {architecture.name} (random weights, seed {params.seed})",
            digest=((UNTRAINED, f"{architecture.name}, seed {params.seed}"),),
        )
    found = load_resnet(key, weights.path, architecture, params.naming)
    if params.output == "head" and not found.head_size:
        raise UserError(f"{key}: {weights.path} holds no classification head; set output: penultimate")
    return Encoder(
        path=weights.path,
        params=params,
        dimension=architecture.embedding_size if params.output == "penultimate" else found.head_size,
        description=(
            f"{architecture.name} in the naming of {found.naming.name} from {params.weights}"
            f" (head of {found.head_size}, {params.output} layer; input: {found.naming.normalisation.name})"
        ),
        digest=tuple(weights.digest.items()),
    )


@lru_cache(maxsize=1)  # by the weights' digest too: a worker of a cluster lives longer than a file does
def _load_network(encoder: Encoder) -> tuple[ResNet, Normalisation]:
    """One network per process, and what it wants as input."""
    import torch

    from pipeline.encoders.pretrained import prepare_torch
    from pipeline.encoders.resnets.namings import IMAGENET
    from pipeline.encoders.resnets.network import ARCHITECTURES, build_untrained, fold_batch_norms
    from pipeline.encoders.resnets.weights_file import load_resnet

    prepare_torch()
    params = encoder.params
    architecture = ARCHITECTURES[params.architecture]
    if encoder.path is None:
        network, normalisation = build_untrained(architecture, UNTRAINED_HEAD, params.seed), IMAGENET
    else:
        found = load_resnet("visual.encoder", encoder.path, architecture, params.naming)
        network, normalisation = found.network, found.naming.normalisation
    dtype = torch.bfloat16 if params.precision == "bfloat16" else torch.float32
    network = fold_batch_norms(network).to(runtime.device(), dtype)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # missing in torch's stubs
    return network, normalisation
