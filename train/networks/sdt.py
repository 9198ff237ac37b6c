"""SDT: params of the network of Ma et al., "A Transformer-Based Model With Self-Distillation for Multimodal
Emotion Recognition in Conversations", IEEE Transactions on Multimedia 2024, as its authors' code has it.

Dropout is on what attention gives, not on its weights as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from train.networks import merge
from train.peers.params import PLAIN_ADAM, PeerParams, Rate, Size

if TYPE_CHECKING:
    from train.peers.sdt import Sdt


class Params(PeerParams):
    """Sizes and losses; values are those of the authors' code."""

    kind: Literal["sdt"] = "sdt"
    size: Size = 1024
    """Width of each modality's vectors, and of the transformers' inner layers."""
    heads: Size = 8
    """Of attention."""
    speakers: Size = 9
    """Rows of the speakers' embedding, in order of appearance; those who come later share the last."""
    gate: Literal["linear", "identity"] = "linear"
    """What of a vector decides how much of it passes before modalities are put together: a linear layer of
    it, or, as the code has it for MELD, itself."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """tau, by which logits are divided where modalities learn from all of them."""
    dropout: Rate = 0.5
    """On what each transformer gets, on what its attention gives, in its inner layers, and before the
    students' classes."""

    @model_validator(mode="after")
    def _heads_divide_size(self) -> Self:
        if self.size % self.heads or self.size % 2:
            raise ValueError(f"size: {self.size} must be even, and a multiple of heads: {self.heads}")
        return self


_AUTHORS = merge(PLAIN_ADAM, {"l2": 5e-6})
RECIPES: dict[str, Any] = {
    "meld": merge(
        _AUTHORS,
        {
            "epochs": 50,
            "batch_dialogues": 8,
            "learning_rate": 5e-6,
            "network": {"gate": "identity", "temperature": 8.0},
        },
    ),
    "iemocap": merge(
        _AUTHORS,
        {
            "epochs": 150,
            "batch_dialogues": 16,
            "learning_rate": 1e-4,
            "network": {"speakers": 2, "class_weight_exponent": 1.0},
        },
    ),
}
"""The values of the code's scripts."""


def build(params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> Sdt:
    """A new network for features of these widths."""
    from train.peers.sdt import Sdt

    return Sdt(params, dims, class_counts)
