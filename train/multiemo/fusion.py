"""Multimodal fusion: MultiAttn [3.4], and the plain concatenation it is compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.params import MODALITIES
from train.dropout import Dropout
from train.packing import Packing


class MultiAttn(nn.Module):
    """For each modality, T layers that integrate it with the other modalities in turn (Eq. 2-12).

    Each layer attends to the others in the fixed order text, audio, visual: the text component to
    audio then visual (as in the paper), audio to text then visual, visual to text then audio.
    With two modalities there is one cross-attention per layer; with one, only the feed-forward stage.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        layers: int,
        size: int,
        heads: int,
        inner_size: int,
        dropout: float,
        bias: bool,
    ) -> None:
        super().__init__()
        ordered = [name for name in MODALITIES if name in modalities]
        self.layers = nn.ModuleDict(
            {
                name: nn.ModuleList(
                    MultiAttnLayer([o for o in ordered if o != name], size, heads, inner_size, dropout, bias)
                    for _ in range(layers)
                )
                for name in ordered
            }
        )

    def forward(
        self, contexts: Mapping[str, Tensor], observed: Mapping[str, Tensor], packing: Packing
    ) -> dict[str, Tensor]:
        """Fused features [n, size] per modality from C^m [n, size] and observed, bool [n], per modality."""
        lanes = {name: packing.to_lanes(context).flatten(0, 1) for name, context in contexts.items()}
        keys = {name: Keys.of(lanes[name], observed[name], packing) for name in contexts}
        fused = {}
        for name, layers in self.layers.items():
            query = lanes[name]
            for layer in layers:  # type: ignore[attr-defined]
                query = layer(query, keys)
            fused[name] = packing.from_lanes(query.unflatten(0, packing.lanes))
        return fused


class Keys(NamedTuple):
    """One modality as keys and values: an utterance is a key only where the modality was observed."""

    context: Tensor
    """[L * T, size]: C^m in the lanes of the packing."""
    mask: Tensor
    """[L, 1, T, T]: what is added to the scores of Eq. 3: 0 for the keys of a query, else -inf."""
    any: Tensor
    """bool [L, T, 1]: whether there is a key in the dialogue of each place."""

    @classmethod
    def of(cls, context: Tensor, observed: Tensor, packing: Packing) -> Keys:
        """From C^m in lanes [L * T, size], and observed, bool [n]."""
        allowed, keyed = packing.attended(observed)
        mask = torch.zeros(allowed.shape, dtype=context.dtype, device=context.device)
        return cls(context, mask.masked_fill_(~allowed, -torch.inf).unsqueeze(1), keyed)


class MultiAttnLayer(nn.Module):
    """One layer of one component: cross-attention to each of ``others`` in turn, then the FFN."""

    def __init__(
        self, others: Sequence[str], size: int, heads: int, inner_size: int, dropout: float, bias: bool
    ) -> None:
        super().__init__()
        self.attend = nn.ModuleDict({name: CrossAttention(size, heads, dropout, bias) for name in others})
        self.feed_forward = FeedForward(size, inner_size, dropout)

    def forward(self, query: Tensor, keys: Mapping[str, Keys]) -> Tensor:
        """The next F^m [L * T, size] from the last."""
        for name, attend in self.attend.items():
            query = attend(query, keys[name])
        return self.feed_forward(query)


class CrossAttention(nn.Module):
    """Multi-head cross-attention, residual and layer norm: Eq. 2-5, and 6-9 alike.

    Keys and values come from the same modality.  Eq. 2 prints the values of the first stage as
    projected from C^v; the text, and Eq. 6, say what is meant.  The equations show no bias.
    """

    def __init__(self, size: int, heads: int, dropout: float, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(size, size, bias=bias)
        self.key = nn.Linear(size, size, bias=bias)
        self.value = nn.Linear(size, size, bias=bias)
        self.output = nn.Linear(size, size, bias=bias)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(size)

    def forward(self, query: Tensor, keys: Keys) -> Tensor:
        """The query [L * T, size] with what it finds among the keys; the same shape."""
        q, k, v = self.query(query), self.key(keys.context), self.value(keys.context)
        if query.device.type == "cpu":
            # In bfloat16, torch's fused attention takes several times as long on a CPU as in float32.
            q, k, v = (each.to(self.query.weight.dtype) for each in (q, k, v))
        q, k, v = (self._split_heads(each, keys) for each in (q, k, v))
        with torch.autocast(query.device.type, enabled=False):
            heads = F.scaled_dot_product_attention(q, k, v, attn_mask=keys.mask.to(q.dtype))  # Eq. 3
        multi_head = self.output((heads.transpose(1, 2).flatten(2) * keys.any).view(query.shape))  # Eq. 4
        return self.norm(_added(query, self.dropout(multi_head)))  # Eq. 5

    def weights(self, query: Tensor, keys: Keys) -> Tensor:
        """The softmax of Eq. 3, [L, heads, T, T]: forward has it in fused attention."""
        q, k = (self._split_heads(each, keys) for each in (self.query(query), self.key(keys.context)))
        return (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + keys.mask).softmax(dim=-1)

    def _split_heads(self, rows: Tensor, keys: Keys) -> Tensor:
        """[L * T, size] to [L, heads, T, size / heads]."""
        lanes, _, places, _ = keys.mask.shape
        return rows.view(lanes, places, self.heads, -1).transpose(1, 2)


class FeedForward(nn.Module):
    """Two fully-connected layers with a ReLU, residual and layer norm: Eq. 10-12."""

    def __init__(self, size: int, inner_size: int, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Linear(size, inner_size)
        self.outer = nn.Linear(inner_size, size)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(size)

    def forward(self, x: Tensor) -> Tensor:
        """[m, size] to the same shape."""
        inner = torch.relu_(self.inner(x))  # in place: the largest tensor of all is not there twice
        return self.norm(_added(x, self.dropout(self.outer(inner))))


def _added(x: Tensor, change: Tensor) -> Tensor:
    """x + change, in the place of ``change``, which no gradient needs."""
    return change.to(x.dtype).add_(x)


class Concat(nn.Module):
    """No fusion but the concatenation of Eq. 13: the ablation "w/o MultiAttn" [5.3]."""

    def forward(
        self, contexts: Mapping[str, Tensor], observed: Mapping[str, Tensor], packing: Packing
    ) -> dict[str, Tensor]:
        """The contexts as they are: the network concatenates whatever fusion returns."""
        return dict(contexts)
