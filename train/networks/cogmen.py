"""COGMEN: params of the network of Joshi et al., "COGMEN: COntextualized GNN based Multimodal Emotion
recognitioN", NAACL 2022, as its authors' code has it, but for four things.

Its transformer attended to padding; here it does not.  Its width was that of the concatenated vectors,
1380, of which the number of heads had to be a divisor; here a linear layer makes it, whatever the vectors'
widths are.
Dropout is on what attention gives, not on its weights as well.  And the rate falls after eleven epochs in
which validation loss has not fallen by a millionth; theirs had to fall by a ten-thousandth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import model_validator

from train.networks import merge
from train.peers.params import PLAIN_ADAM, PeerParams, Rate, Size, Window

if TYPE_CHECKING:
    from train.peers.cogmen import Cogmen


class Params(PeerParams):
    """Sizes; values are those of the authors' code for IEMOCAP's vectors."""

    kind: Literal["cogmen"] = "cogmen"
    width: Size = 1380
    """Of the transformer: audio 100, text 768 and visual 512 there."""
    heads: Size = 10
    """Of the transformer's attention: the first divisor of its width from 7 on, there."""
    transformer_layers: Size = 2
    """Before the graph."""
    feedforward_size: Size = 2048
    """Inner width of the transformer's layers."""
    graph_size: Size = 100
    """Width of a node."""
    graph_heads: Size = 1
    """Heads of the graph transformer, each as wide as a node."""
    past: Window = 5
    """Utterances before it that a node hears."""
    future: Window = 5
    """Utterances after it that a node hears."""
    speakers: Size = 9
    """Speakers who are told apart, in order of appearance; those who come later count as the last."""
    dropout: Rate = 0.5
    """In the transformer, and before the last layer."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads: {self.heads} does not divide width: {self.width}")
        return self


_AUTHORS = merge(
    PLAIN_ADAM,
    {
        "epochs": 55,
        "batch_dialogues": 32,
        "learning_rate": 1e-4,
        "l2": 5e-9,
        "schedule": "plateau",
        "learning_rate_decay": 0.1,
        "decay_every_epochs": 10,
    },
)
RECIPES: dict[str, Any] = {
    "meld": _AUTHORS,
    "iemocap": merge(_AUTHORS, {"network": {"speakers": 2}}),
}
"""IEMOCAP's are those of the command for four of its classes, the only one that there is.  The paper has no
MELD: here it gets the same, with nine speakers."""


def build(params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> Cogmen:
    """A new network for features of these widths."""
    from train.peers.cogmen import Cogmen

    return Cogmen(params, dims, class_counts)
