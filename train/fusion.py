"""Multimodal fusion: MultiAttn [3.4], and the plain concatenation it is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.params import MODALITIES


class Packing:
    """Utterances without their padding: [B, T, size] to [n, size] and back.

    Dialogues differ so much in length that most of a batch is padding (seven tenths on MELD), and
    all of MultiAttn but the attention itself treats every utterance alone.
    """

    def __init__(self, valid: Tensor) -> None:
        self.shape = valid.shape
        self.places = valid.flatten().nonzero().squeeze(1)

    def pack(self, padded: Tensor) -> Tensor:
        """[B, T, size] to [n, size]."""
        return padded.flatten(0, 1).index_select(0, self.places)

    def pad(self, packed: Tensor) -> Tensor:
        """[n, size] to [B, T, size], zero at padding."""
        padded = packed.new_zeros(self.shape.numel(), packed.shape[-1])
        return padded.index_copy_(0, self.places, packed).unflatten(0, self.shape)


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
        self, contexts: Mapping[str, Tensor], observed: Mapping[str, Tensor], valid: Tensor
    ) -> dict[str, Tensor]:
        """Fused features [B, T, size] per modality, zero at padding.

        contexts: C^m, [B, T, size] per modality.  observed: bool [B, T] per modality, False at
        padding: an utterance is a key only where it was observed in the key's modality.
        valid: bool [B, T], False at padding.
        """
        packing = Packing(valid)
        packed = {name: packing.pack(context) for name, context in contexts.items()}
        fused = {}
        for name, layers in self.layers.items():
            query = packed[name]
            for layer in layers:  # type: ignore[attr-defined]
                query = layer(query, packed, observed, packing)
            fused[name] = packing.pad(query)
        return fused


class MultiAttnLayer(nn.Module):
    """One layer of one component: cross-attention to each of ``others`` in turn, then the FFN."""

    def __init__(self, others: Sequence[str], size: int, heads: int, inner_size: int, dropout: float) -> None:
        super().__init__()
        self.attend = nn.ModuleDict({name: CrossAttention(size, heads, dropout) for name in others})
        self.feed_forward = FeedForward(size, inner_size, dropout)

    def forward(
        self, query: Tensor, contexts: Mapping[str, Tensor], observed: Mapping[str, Tensor], packing: Packing
    ) -> Tensor:
        """The next F^m [n, size] from the last; contexts [n, size] and observed [B, T] per modality."""
        for name, attend in self.attend.items():
            query = attend(query, contexts[name], observed[name], packing)
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

    def forward(self, query: Tensor, context: Tensor, key_allowed: Tensor, packing: Packing) -> Tensor:
        """[n, size] from queries and contexts [n, size]; key_allowed bool [B, T]."""
        # A dialogue without any key attends to nothing.  Softmax needs something to normalise, so it
        # gets all keys there, and what comes of it is multiplied by zero.
        has_key = key_allowed.any(dim=1)
        mask = key_allowed | ~has_key[:, None]
        q, k, v = (
            packing.pad(rows).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, heads, T, size / heads]
            for rows in (self.query(query), self.key(context), self.value(context))
        )
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        concatenated = attended.transpose(1, 2).flatten(2) * has_key[:, None, None]
        return self.norm(query + self.dropout(self.output(packing.pack(concatenated))))


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
        self, contexts: Mapping[str, Tensor], observed: Mapping[str, Tensor], valid: Tensor
    ) -> dict[str, Tensor]:
        """The contexts as they are: the network concatenates whatever fusion returns."""
        return dict(contexts)
