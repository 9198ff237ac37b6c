"""An iterative network after Lu et al., "An Iterative Emotion Interaction Network for Emotion Recognition in
Conversations", COLING 2020.

Their code is not public, and sizes, number of iterations, loss and training are not known to us.  **All
numbers here are choices of ours**, as are the forms that ``train.peers.iterative_erc`` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from train.networks import merge
from train.peers.params import PLAIN_ADAM, PeerParams, Rate, Size

if TYPE_CHECKING:
    from train.peers.iterative_erc import IterativeErc


class Params(PeerParams):
    """Sizes and the number of iterations; all are choices of ours."""

    kind: Literal["iterative_erc"] = "iterative_erc"
    iterations: Size = 3
    """K: how often predictions are fed back.  A choice of ours."""
    emotion_size: Size = 100
    """Width of the embedding of emotions.  A choice of ours."""
    state_size: Size = 100
    """Width of the GRU's state, per direction.  A choice of ours."""
    classifier_size: Size = 100
    """Width of the hidden layer before the classes.  A choice of ours."""
    dropout: Rate = 0.25
    """Before the last layer.  A choice of ours."""


_OURS = merge(PLAIN_ADAM, {"epochs": 60, "batch_dialogues": 32, "learning_rate": 1e-4, "l2": 5e-6})
RECIPES: dict[str, Any] = {"meld": _OURS, "iemocap": _OURS}
"""Choices of ours: those of BC-LSTM, whose recurrence is about as large."""


def build(params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> IterativeErc:
    """A new network for features of these widths."""
    from train.peers.iterative_erc import IterativeErc

    return IterativeErc(params, dims, class_counts)
