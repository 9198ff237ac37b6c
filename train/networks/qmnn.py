"""QMNN: params of the network of Li et al., "Quantum-inspired Neural Network for Conversational Emotion
Recognition", AAAI 2021, as its code has it but for the optimiser of its unitary matrices (train.peers.qmnn).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from train.networks import merge
from train.peers.params import PLAIN_ADAM, PeerParams, Rate, Size

if TYPE_CHECKING:
    from train.peers.qmnn import Qmnn


class Params(PeerParams):
    """Sizes.  The values that gave the paper's figures are not published: these are from the code's grid."""

    kind: Literal["qmnn"] = "qmnn"
    state_size: Size = 100
    """d: dimensions of the complex space; density matrices are d x d."""
    classifier_size: Size = 32
    """Width of the hidden layer before the classes."""
    dropout: Rate = 0.1
    """Before the last layer."""
    phase_speakers: Size = 1
    """Speakers with a phase of their own, as numbered by their first utterance; further ones share them in
    turn.  The code has 1 on MELD and 2 on IEMOCAP."""
    learn_phases: bool = False
    """Whether frequencies and speakers' phases are learnt; in the code they stay as they were drawn."""


# Of the code's base file where the grid has its values (dropout, rate, epochs), else the grid's nearest.
_AUTHORS = merge(
    PLAIN_ADAM, {"epochs": 50, "batch_dialogues": 16, "learning_rate": 3e-3, "gradient_clip": 0.8}
)
RECIPES: dict[str, Any] = {
    "meld": _AUTHORS,
    "iemocap": merge(
        _AUTHORS, {"epochs": 100, "network": {"phase_speakers": 2, "class_weight_exponent": 1.0}}
    ),
}
"""Values from the code's grid; its RMSprop, and another for unitary matrices, are Adam here."""


def build(params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> Qmnn:
    """A new network for features of these widths."""
    from train.peers.qmnn import Qmnn

    return Qmnn(params, dims, class_counts)
