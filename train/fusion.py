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
from train.layout import Layout


class MultiAttn(nn.Module):
    """For each modality, T layers that integrate it with the other modalities in turn (Eq. 2-12).

    Each layer attends to the others in the fixed order text, audio, visual: the text component to
    audio then visual (as in the paper), audio to text then visual, visual to text then audio.
    With two modalities there is one cross-attention per layer; with one, only the feed-forward stage.
    """

    def __init__(
        self, modalities: Sequence[str], layers: int, size: int, heads: int, inner_size: int, dropout: float
    ) -> None:
        super().__init__()
        ordered = [name for name in MODALITIES if name in modalities]
        self.layers = nn.ModuleDict(
            {
                name: nn.ModuleList(
                    MultiAttnLayer([o for o in ordered if o != name], size, heads, inner_size, dropout)
                    for _ in range(layers)
                )
                for name in ordered
            }
        )

    def forward(
        self, contexts: Mapping[str, Tensor], observed: Mapping[str, Tensor], layout: Layout
    ) -> dict[str, Tensor]:
        """Fused features [n, size] per modality from C^m [n, size] and observed, bool [n], per modality."""
        keys = {name: Keys.of(context, observed[name], layout) for name, context in contexts.items()}
        fused = {}
        for name, layers in self.layers.items():
            query = contexts[name]
            for layer in layers:  # type: ignore[attr-defined]
                query = layer(query, keys, layout)
            fused[name] = query
        return fused


class Keys(NamedTuple):
    """One modality as keys and values: an utterance is a key only where the modality was observed."""

    context: Tensor
    """[m, size]: C^m, spread over the groups of the layout; 0 in dialogues that have no key at all."""
    allowed: list[Tensor]
    """bool [dialogues, 1, 1, T] per group of the layout: the keys of each; all, where it has none."""

    @classmethod
    def of(cls, context: Tensor, observed: Tensor, layout: Layout) -> Keys:
        """A dialogue without any key attends to nothing.

        Softmax needs something to normalise, so all its utterances become keys, and values of 0: the
        projection of a context of 0, because it has no bias.
        """
        allowed = layout.pad(observed)
        keyless = ~allowed.any(dim=1, keepdim=True)
        has_key = layout.pack((~keyless).expand(layout.shape))
        allowed = (allowed | keyless)[:, None, None, :]
        blocks = [allowed[first : first + count, ..., :steps] for first, count, steps in layout.groups]
        # Spread once, as all layers of two components project it: spread keys and values are theirs.
        return cls(layout.spread(context * has_key.unsqueeze(1)), blocks)


class MultiAttnLayer(nn.Module):
    """One layer of one component: cross-attention to each of ``others`` in turn, then the FFN."""

    def __init__(self, others: Sequence[str], size: int, heads: int, inner_size: int, dropout: float) -> None:
        super().__init__()
        self.attend = nn.ModuleDict({name: CrossAttention(size, heads, dropout) for name in others})
        self.feed_forward = FeedForward(size, inner_size, dropout)

    def forward(self, query: Tensor, keys: Mapping[str, Keys], layout: Layout) -> Tensor:
        """The next F^m [n, size] from the last."""
        for name, attend in self.attend.items():
            query = attend(query, keys[name], layout)
        return self.feed_forward(query)


class CrossAttention(nn.Module):
    """Multi-head cross-attention, residual and layer norm: Eq. 2-5, and 6-9 alike.

    Keys and values come from the same modality.  Eq. 2 prints the values of the first stage as
    projected from C^v; the text, and Eq. 6, say what is meant.  The projections have no bias.
    """

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(size, size, bias=False)
        self.key = nn.Linear(size, size, bias=False)
        self.value = nn.Linear(size, size, bias=False)
        self.output = nn.Linear(size, size, bias=False)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(size)

    def forward(self, query: Tensor, keys: Keys, layout: Layout) -> Tensor:
        """The query [n, size] with what it finds among the keys; the same shape."""
        q, k, v = layout.spread(self.query(query)), self.key(keys.context), self.value(keys.context)
        if query.device.type == "cpu":
            # In bfloat16, torch's fused attention takes several times as long on a CPU as in float32.
            q, k, v = (each.to(self.query.weight.dtype) for each in (q, k, v))
        blocks = zip(*(self._split_heads(each, layout) for each in (q, k, v)), keys.allowed, strict=True)
        with torch.autocast(query.device.type, enabled=False):
            attended = [
                F.scaled_dot_product_attention(q, k, v, attn_mask=allowed).transpose(1, 2).flatten(2)  # Eq. 3
                for q, k, v, allowed in blocks
            ]
        multi_head = self.output(layout.from_blocks(attended))  # Eq. 4
        return self.norm(_added(query, self.dropout(multi_head)))  # Eq. 5

    def weights(self, query: Tensor, keys: Keys, layout: Layout) -> list[Tensor]:
        """The softmax of Eq. 3, [dialogues, heads, T, T] per group: forward has it in fused attention."""
        blocks = zip(
            self._split_heads(layout.spread(self.query(query)), layout),
            self._split_heads(self.key(keys.context), layout),
            keys.allowed,
            strict=True,
        )
        return [
            (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]))
            .masked_fill(~allowed, -torch.inf)
            .softmax(dim=-1)
            for q, k, allowed in blocks
        ]

    def _split_heads(self, rows: Tensor, layout: Layout) -> list[Tensor]:
        """[m, size] to [dialogues, heads, T, size / heads] per group of the layout."""
        return [block.unflatten(-1, (self.heads, -1)).transpose(1, 2) for block in layout.to_blocks(rows)]


class FeedForward(nn.Module):
    """Two fully-connected layers with a ReLU, residual and layer norm: Eq. 10-12."""

    def __init__(self, size: int, inner_size: int, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Linear(size, inner_size)
        self.outer = nn.Linear(inner_size, size)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(size)

    def forward(self, x: Tensor) -> Tensor:
        """[n, size] to the same shape."""
        inner = torch.relu_(self.inner(x))  # in place: the largest tensor of all is not there twice
        return self.norm(_added(x, self.dropout(self.outer(inner))))


def _added(x: Tensor, change: Tensor) -> Tensor:
    """x + change, in the place of ``change``, which no gradient needs."""
    return change.to(x.dtype).add_(x)


class Concat(nn.Module):
    """No fusion but the concatenation of Eq. 13: the ablation "w/o MultiAttn" [5.3]."""

    def forward(
        self, contexts: Mapping[str, Tensor], observed: Mapping[str, Tensor], layout: Layout
    ) -> dict[str, Tensor]:
        """The contexts as they are: the network concatenates whatever fusion returns."""
        return dict(contexts)
