"""What the networks of other papers share: their inputs, their classifier and their loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.features.content import UNLABELLED
from pipeline.params import MODALITIES, Modality
from train.data import Batch
from train.dropout import Dropout
from train.peers.params import PeerParams


class Output(NamedTuple):
    """What a network says of each utterance of a batch."""

    logits: Tensor
    """[n, classes]"""


class Peer(nn.Module):
    """A network with ``inputs``, trained on weighted cross-entropy; ``forward`` is its own."""

    def __init__(self, params: PeerParams, dims: Mapping[str, int], class_counts: Sequence[int]) -> None:
        super().__init__()
        self.inputs = Inputs(dims, params.reduced_sizes)
        self.cross_entropy = WeightedCrossEntropy(class_counts, params.class_weight_exponent)

    def output(self, logits: Tensor) -> Output:
        """The output of logits [n, classes], in the precision of the weights."""
        return Output(logits.to(self.cross_entropy.weight.dtype))

    def losses(self, output: Output, label: Tensor) -> dict[str, Tensor]:
        """``total``: cross-entropy of logits [n, classes] and label int64 [n]."""
        return {"total": self.cross_entropy(output.logits, label)}


class Inputs(nn.Module):
    """Vectors of each modality, wide ones reduced by a linear layer; zero where it was not observed."""

    def __init__(self, dims: Mapping[str, int], reduced_sizes: Mapping[Modality, int]) -> None:
        super().__init__()
        names = [name for name in MODALITIES if name in dims]
        self.sizes = {name: reduced_sizes.get(name, dims[name]) for name in names}
        """Width by modality."""
        self.size = sum(self.sizes.values())
        """Width of all modalities together."""
        self.reduce = nn.ModuleDict(
            {name: nn.Linear(dims[name], size) for name, size in self.sizes.items() if name in reduced_sizes}
        )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """[n, size] by modality."""
        tables = {
            name: self.reduce[name](batch.features[name]) if name in self.reduce else batch.features[name]
            for name in self.sizes
        }
        return {
            name: torch.where(batch.observed[name].unsqueeze(1), table, 0) for name, table in tables.items()
        }

    def concatenate(self, batch: Batch) -> Tensor:
        """u: [n, size], all modalities side by side."""
        return torch.cat(list(self(batch).values()), dim=-1)


class WeightedCrossEntropy(nn.Module):
    """Mean of cross-entropy over the labelled utterances, weighted by (1 / frequency of the class)^exponent.

    The sum is divided by that of the weights, which differs from batch to batch.  A class that training
    lacks, which validation may have, weighs 1: less than any other.
    """

    def __init__(self, class_counts: Sequence[int], exponent: float) -> None:
        super().__init__()
        counts = torch.tensor(class_counts, dtype=torch.get_default_dtype())
        rarity = torch.where(counts > 0, counts.sum() / counts.clamp(min=1), 1)
        self.weight: Tensor
        self.register_buffer("weight", rarity**exponent, persistent=False)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """A scalar of logits [n, classes] and label int64 [n], UNLABELLED where there is none."""
        return F.cross_entropy(logits, label, self.weight, ignore_index=UNLABELLED)


def classifier(size: int, hidden_size: int, dropout: float, classes: int) -> nn.Sequential:
    """Two linear layers, a ReLU and dropout between them: [n, size] to logits [n, classes]."""
    return nn.Sequential(
        nn.Linear(size, hidden_size), nn.ReLU(), Dropout(dropout), nn.Linear(hidden_size, classes)
    )
