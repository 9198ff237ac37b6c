"""The utterance view of MVN: params of one of the two halves of the network of Ma et al., "A multi-view
network for real-time emotion recognition in conversations", Knowledge-Based Systems 2022.

It is not named MVN because it is not MVN: the other half, the word view, reads the words' own vectors, and
features have one vector per utterance.  Figures published for MVN are of both halves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from train.networks import merge
from train.peers.params import PLAIN_ADAM, PeerParams, Rate, Size

if TYPE_CHECKING:
    from train.peers.mvn_utterance import MvnUtterance


class Params(PeerParams):
    """Sizes; values are those of the authors' code for MELD."""

    kind: Literal["mvn_utterance"] = "mvn_utterance"
    window: Size = 10
    """W: most utterances before the current one that it sees."""
    state_size: Size = 300
    """Width of utterance vectors, and of the GRU's state per direction."""
    classifier_size: Size = 150
    """Width of the hidden layer before the classes."""
    dropout: Rate = 0.3
    """Before the last layer."""


# The code's rate falls whenever validation does not get better; ours waits for one more epoch.
_AUTHORS = merge(
    PLAIN_ADAM,
    {
        "batch_dialogues": 1,
        "gradient_clip": 5.0,
        "schedule": "plateau",
        "learning_rate_decay": 0.95,
        "decay_every_epochs": 1,
    },
)
RECIPES: dict[str, Any] = {
    "meld": merge(
        _AUTHORS, {"epochs": 20, "learning_rate": 2.5e-4, "network": {"class_weight_exponent": 0.5}}
    ),
    "iemocap": merge(_AUTHORS, {"epochs": 60, "learning_rate": 5e-4, "network": {"window": 40}}),
}
"""The code's values."""


def build(params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> MvnUtterance:
    """A new network for features of these widths."""
    from train.peers.mvn_utterance import MvnUtterance

    return MvnUtterance(params, dims, class_counts)
