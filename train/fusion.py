"""Multimodal fusion: MultiAttn [3.4], and the plain concatenation it is compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.params import MODALITIES
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
    """[n, size]: C^m; 0 in dialogues that have no key at all."""
    allowed: Tensor
    """bool [B, 1, 1, T]: the keys of each dialogue; all, where it has none."""

    @classmethod
    def of(cls, context: Tensor, observed: Tensor, layout: Layout) -> Keys:
        """A dialogue without any key attends to nothing.

        Softmax needs something to normalise, so all its utterances become keys, and values of 0: the
        projection of a context of 0, because it has no bias.
        """
        allowed = layout.pad(observed)
        keyless = ~allowed.any(dim=1, keepdim=True)
        has_key = layout.pack((~keyless).expand(layout.shape))
        return cls(context * has_key.unsqueeze(1), (allowed | keyless)[:, None, None, :])


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
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(size)

    def forward(self, query: Tensor, keys: Keys, layout: Layout) -> Tensor:
        """The query [n, size] with what it finds among the keys; the same shape."""
        q, k, v = (
            self._split_heads(rows, layout)
            for rows in (self.query(query), self.key(keys.context), self.value(keys.context))
        )
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=keys.allowed)  # Eq. 3
        concatenated = layout.pack(attended.transpose(1, 2)).flatten(1)
        return self.norm(query + self.dropout(self.output(concatenated)))  # Eq. 4-5

    def weights(self, query: Tensor, keys: Keys, layout: Layout) -> Tensor:
        """The softmax of Eq. 3, [B, heads, T, T]: forward has it inside torch's fused attention."""
        q = self._split_heads(self.query(query), layout)
        k = self._split_heads(self.key(keys.context), layout)
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        return scores.masked_fill(~keys.allowed, -torch.inf).softmax(dim=-1)

    def _split_heads(self, rows: Tensor, layout: Layout) -> Tensor:
        """[n, size] to [B, heads, T, size / heads]."""
        return layout.pad(rows).unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two fully-connected layers with a ReLU, residual and layer norm: Eq. 10-12."""

    def __init__(self, size: int, inner_size: int, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Linear(size, inner_size)
        self.outer = nn.Linear(inner_size, size)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(size)

    def forward(self, x: Tensor) -> Tensor:
        """[n, size] to the same shape."""
        return self.norm(x + self.dropout(self.outer(torch.relu(self.inner(x)))))


class Concat(nn.Module):
    """No fusion but the concatenation of Eq. 13: the ablation "w/o MultiAttn" [5.3]."""

    def forward(
        self, contexts: Mapping[str, Tensor], observed: Mapping[str, Tensor], layout: Layout
    ) -> dict[str, Tensor]:
        """The contexts as they are: the network concatenates whatever fusion returns."""
        return dict(contexts)
