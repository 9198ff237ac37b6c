"""BC-LSTM: params of the network of Poria et al., "Context-Dependent Sentiment Analysis in User-Generated
Videos", ACL 2017, as its authors' PyTorch code has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from train.networks import merge
from train.peers.params import PLAIN_ADAM, PeerParams, Rate, Size

if TYPE_CHECKING:
    from train.peers.bc_lstm import BcLstm


class Params(PeerParams):
    """Sizes; values are those of the authors' code."""

    kind: Literal["bc_lstm"] = "bc_lstm"
    layers: Size = 2
    """Bidirectional LSTMs, one upon the other."""
    state_size: Size = 100
    """Width of an LSTM's state, per direction."""
    attention: bool = False
    """Whether each state becomes what it attends to of its dialogue; an option of the code, off there too."""
    hierarchical: bool = False
    """Whether each modality has LSTMs of its own before one more reads all of them, as in the paper; here all
    are trained together, there one stage after the other."""
    classifier_size: Size = 100
    """Width of the hidden layer before the classes."""
    dropout: Rate = 0.25
    """Between LSTMs, and before the last layer."""


_AUTHORS = merge(PLAIN_ADAM, {"epochs": 60, "batch_dialogues": 32, "learning_rate": 1e-4, "l2": 5e-6})
RECIPES: dict[str, Any] = {"meld": _AUTHORS, "iemocap": _AUTHORS}
"""The code's values, which are the same for both; class weights are an option there, off unless asked for."""


def build(params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> BcLstm:
    """A new network for features of these widths."""
    from train.peers.bc_lstm import BcLstm

    return BcLstm(params, dims, class_counts)
