"""Parts of transformers (Vaswani et al., NeurIPS 2017, sections 3.2 and 3.3) over the utterances of
dialogues."""

from __future__ import annotations

from typing import NamedTuple, Self

import torch.nn.functional as F
from torch import Tensor, nn

from train.dropout import Dropout
from train.packing import Packing


class Keys(NamedTuple):
    """To whom each utterance attends: to those of its dialogue that are keys."""

    mask: Tensor
    """bool [L, 1, T, T]: ``attended`` of the packing."""
    any: Tensor
    """bool [n, 1]: whether its dialogue has one."""

    @classmethod
    def of(cls, key: Tensor, packing: Packing) -> Self:
        """From bool [n]: whether each utterance is one."""
        mask, keyed = packing.attended(key)
        return cls(mask.unsqueeze(1), packing.from_lanes(keyed))


class Attention(nn.Module):
    """Multi-head attention; what is attended to is 0 where a dialogue has no key."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(size, size) for _ in range(4))

    def forward(self, query: Tensor, context: Tensor, keys: Keys, packing: Packing) -> Tensor:
        """[n, size] from queries and what they attend to, both [n, size]."""
        q, k, v = (
            packing.to_lanes(rows).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for rows in (self.query(query), self.key(context), self.value(context))
        )
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=keys.mask)
        rows = packing.from_lanes(attended.transpose(1, 2).flatten(2))
        return self.output(rows * keys.any)


class FeedForward(nn.Sequential):
    """Two linear layers with a nonlinearity between them, dropout after each: [n, size] to the same shape."""

    def __init__(self, size: int, inner_size: int, nonlinearity: nn.Module, dropout: float) -> None:
        inner, outer = nn.Linear(size, inner_size), nn.Linear(inner_size, size)
        super().__init__(inner, nonlinearity, Dropout(dropout), outer, Dropout(dropout))
