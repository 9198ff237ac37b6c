"""Attention of each utterance over its dialogue, which the code of conv-emotion has before the classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from train.packing import Packing


class DialogueAttention(nn.Module):
    """Each state becomes what it attends to of its dialogue's states h:

        m_t = sum_s a_ts h_s,  a_t = softmax_s f((W h_t + b) . h_s)

    with f = tanh if ``squashed``, else f(x) = x.
    """

    def __init__(self, size: int, squashed: bool) -> None:
        super().__init__()
        self.query = nn.Linear(size, size)
        self.squashed = squashed

    def forward(self, states: Tensor, packing: Packing) -> Tensor:
        """[n, size] to [n, size]."""
        query, key = (packing.to_lanes(each) for each in (self.query(states), states))
        scores = query @ key.transpose(1, 2)  # [L, T, T]
        if self.squashed:
            scores = torch.tanh(scores)
        weights = scores.masked_fill(~packing.together, -torch.inf).softmax(dim=-1)
        return packing.from_lanes(weights @ key.to(weights.dtype))
