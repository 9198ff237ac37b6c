"""DialogueRNN: params of the network of Majumder et al., "DialogueRNN: An Attentive RNN for Emotion Detection
in Conversations", AAAI 2019, as its authors' code has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from train.networks import merge
from train.peers.params import PLAIN_ADAM, PeerParams, Rate, Size

if TYPE_CHECKING:
    from train.peers.dialogue_rnn import DialogueRnn


class Params(PeerParams):
    """Sizes; values are those of the authors' code for MELD."""

    kind: Literal["dialogue_rnn"] = "dialogue_rnn"
    state_size: Size = 150
    """Width of global and party states, D_g = D_p, per direction."""
    emotion_size: Size = 100
    """Width of emotion states, D_e, per direction."""
    classifier_size: Size = 200
    """Width of the hidden layer before the classes, 2 D_h."""
    dropout: Rate = 0.1
    """Of each new state of the recurrence, and before the last layer."""
    output_dropout: Rate = 0.25
    """Of the emotion states that leave the recurrence; the code's rate is that of its states and 0.15."""


_AUTHORS = merge(PLAIN_ADAM, {"batch_dialogues": 30, "l2": 5e-6})
RECIPES: dict[str, Any] = {
    "meld": merge(_AUTHORS, {"epochs": 100, "learning_rate": 5e-4}),
    "iemocap": merge(
        _AUTHORS,
        {
            "epochs": 60,
            "learning_rate": 1e-4,
            "network": {
                "state_size": 500,
                "emotion_size": 300,
                "classifier_size": 600,
                "class_weight_exponent": 1.0,
            },
        },
    ),
}
"""The code's values."""


def build(params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> DialogueRnn:
    """A new network for features of these widths."""
    from train.peers.dialogue_rnn import DialogueRnn

    return DialogueRnn(params, dims, class_counts)
