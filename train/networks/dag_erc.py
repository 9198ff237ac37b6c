"""DAG-ERC: params of the network of Shen et al., "Directed Acyclic Graph Network for Conversational Emotion
Recognition", ACL 2021, as its authors' code has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from train.networks import merge
from train.peers.params import PLAIN_ADAM, PeerParams, Rate, Size

if TYPE_CHECKING:
    from train.peers.dag_erc import DagErc


class Params(PeerParams):
    """Sizes; values are those of the authors' code for MELD."""

    kind: Literal["dag_erc"] = "dag_erc"
    layers: Size = 2
    """L, over the graph."""
    hidden_size: Size = 300
    """Width of nodes, and of the layers before the classes."""
    dropout: Rate = 0.1
    """Before the last layer."""


_AUTHORS = merge(PLAIN_ADAM, {"gradient_clip": 5.0})
RECIPES: dict[str, Any] = {
    "meld": merge(_AUTHORS, {"epochs": 70, "batch_dialogues": 64, "learning_rate": 1e-5}),
    "iemocap": merge(
        _AUTHORS,
        {
            "epochs": 30,
            "batch_dialogues": 16,
            "learning_rate": 5e-4,
            "network": {"layers": 4, "dropout": 0.2},
        },
    ),
}
"""The code's values; its AdamW decays no weights, and so is Adam."""


def build(params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> DagErc:
    """A new network for features of these widths."""
    from train.peers.dag_erc import DagErc

    return DagErc(params, dims, class_counts)
