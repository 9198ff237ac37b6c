"""MMGCN: params of the network of Hu et al., "MMGCN: Multimodal Fusion via Deep Graph Convolution Network for
Emotion Recognition in Conversation", ACL 2021, as its authors' code has it, but for the loss.

The code's focal loss for MELD takes log p where p belongs: its optimum for a known label of seven is p =
0.53, and a confident right answer costs more than a uniform one.  Here it is cross-entropy, for both corpora.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from train.networks import merge
from train.peers.params import PLAIN_ADAM, PeerParams, Rate, Size

if TYPE_CHECKING:
    from train.peers.mmgcn import Mmgcn


class Params(PeerParams):
    """Sizes; values are those of the authors' code."""

    kind: Literal["mmgcn"] = "mmgcn"
    node_size: Annotated[int, Field(ge=2, multiple_of=2)] = 200
    """Width of a node's input; each direction of the text's LSTMs has half of it."""
    size: Size = 100
    """Width of a node in the graph's layers."""
    layers: Size = 64
    """Of the graph: 64 in the code, whatever its script says, 4 in the paper."""
    speakers: Size = 9
    """Rows of the speakers' embedding, in order of appearance; those who come later share the last."""
    dropout: Rate = 0.4
    """Between LSTMs, before each layer of the graph, and before the classes."""


_AUTHORS = merge(PLAIN_ADAM, {"batch_dialogues": 16})
RECIPES: dict[str, Any] = {
    "meld": merge(_AUTHORS, {"epochs": 60, "learning_rate": 1e-3}),
    "iemocap": merge(
        _AUTHORS,
        {
            "epochs": 20,
            "learning_rate": 3e-4,
            "l2": 1.5e-5,
            "network": {"speakers": 2, "class_weight_exponent": 1.0},
        },
    ),
}
"""The values of the code's scripts."""


def build(params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> Mmgcn:
    """A new network for features of these widths."""
    from train.peers.mmgcn import Mmgcn

    return Mmgcn(params, dims, class_counts)
