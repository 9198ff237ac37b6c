"""DialogueGCN: params of the network of Ghosal et al., "DialogueGCN: A Graph Convolutional Neural Network for
Emotion Recognition in Conversation", EMNLP 2019.

Edges weigh as in the paper: by what both utterances are, those into a node adding up to 1.  The authors' code
has a vector for each position of the speaking utterance instead, which bears no dialogue of more than 110
utterances, and normalises what leaves a node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from train.networks import merge
from train.peers.params import PLAIN_ADAM, PeerParams, Rate, Size, Window

if TYPE_CHECKING:
    from train.peers.dialogue_gcn import DialogueGcn


class Params(PeerParams):
    """Sizes; values are those of the authors' code."""

    kind: Literal["dialogue_gcn"] = "dialogue_gcn"
    lstm_layers: Size = 2
    """Bidirectional LSTMs, one upon the other, before the graph."""
    state_size: Size = 100
    """Width of an LSTM's state, per direction."""
    past: Window = 10
    """Utterances before it that a node hears."""
    future: Window = 10
    """Utterances after it that a node hears."""
    bases: Size = 30
    """Matrices of which those of all relations are made."""
    speakers: Size = 9
    """Speakers who are told apart, in order of appearance; those who come later count as the last."""
    graph_size: Size = 100
    """Width of a node after the graph's layers."""
    activation: Literal["none", "relu"] = "none"
    """After each of the graph's two layers: none in the code, one in the paper."""
    attention: bool = True
    """Whether each utterance becomes what it attends to of its dialogue before it is classified."""
    classifier_size: Size = 100
    """Width of the hidden layer before the classes."""
    dropout: Rate = 0.4
    """Between LSTMs, and before the last layer."""


_AUTHORS = merge(
    PLAIN_ADAM,
    {
        "epochs": 60,
        "batch_dialogues": 32,
        "learning_rate": 3e-4,
        "network": {"class_weight_exponent": 1.0},
    },
)
RECIPES: dict[str, Any] = {
    "meld": merge(_AUTHORS, {"network": {"attention": False}}),
    "iemocap": merge(_AUTHORS, {"network": {"speakers": 2}}),
}
"""IEMOCAP's are those of the code's command.  There is none for MELD, where by its authors class weights and
other values are needed: here they are IEMOCAP's with nine speakers, and without the attention.  It squashes
its scores to -1..1, so all utterances of a short dialogue become nearly the same: with it, little more than
MELD's majority class is learnt (docs/networks.md)."""


def build(params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> DialogueGcn:
    """A new network for features of these widths."""
    from train.peers.dialogue_gcn import DialogueGcn

    return DialogueGcn(params, dims, class_counts)
