"""MM-DFN: params of the network of Hu et al., "MM-DFN: Multimodal Dynamic Fusion Network for Emotion
Recognition in Conversations", ICASSP 2022, as its authors' code has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from pipeline.params import Modality
from train.networks import merge
from train.peers.params import PLAIN_ADAM, PeerParams, Rate, Size

if TYPE_CHECKING:
    from train.peers.mm_dfn import MmDfn


class Params(PeerParams):
    """Sizes and loss; values are those of the authors' code."""

    kind: Literal["mm_dfn"] = "mm_dfn"
    node_size: Annotated[int, Field(ge=2, multiple_of=2)] = 200
    """Width of a node's input; each direction of the GRUs has half of it."""
    size: Size = 100
    """Width of a node in the graph's layers."""
    layers: Size = 64
    """Of the graph."""
    party_weights: dict[Modality, Annotated[float, Field(ge=0)]] = Field(
        {"text": 1.5, "audio": 0.5, "visual": 0.5}
    )
    """By modality, how much of what its speaker said before and after is added to an utterance's node."""
    focus: Annotated[float, Field(ge=0)] = 1.0
    """gamma of the focal loss (Lin et al., ICCV 2017): how much more an utterance counts that is hard; 0 is
    cross-entropy."""
    dropout: Rate = 0.4
    """Between GRUs, before and after each layer of the graph, and before the classes."""


_AUTHORS = merge(PLAIN_ADAM, {"epochs": 30, "batch_dialogues": 32, "l2": 5e-5})
RECIPES: dict[str, Any] = {
    "meld": merge(_AUTHORS, {"learning_rate": 5e-4}),
    "iemocap": merge(
        _AUTHORS,
        {
            "learning_rate": 3e-4,
            "network": {
                "layers": 16,
                "party_weights": {"text": 1.0, "audio": 3.0, "visual": 0.0},
                "class_weight_exponent": 1.0,
            },
        },
    ),
}
"""Points of the grids in the code's scripts, where l2 is 5e-5 or 2.5e-4 (IEMOCAP: 1e-4), the rate 5e-4 or
1e-3 (1e-4 or 3e-4), layers 64 (16 or 32), dropout 0.2 or 0.4 and focus 0.5 or 1; it is not said which was
best."""


def build(params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> MmDfn:
    """A new network for features of these widths."""
    from train.peers.mm_dfn import MmDfn

    return MmDfn(params, dims, class_counts)
