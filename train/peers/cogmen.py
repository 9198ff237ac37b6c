"""COGMEN's network: Joshi et al., NAACL 2022."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.data import Batch
from train.dropout import Dropout
from train.packing import Packing
from train.peers.graph import RelationalConvolution, TransformerConvolution, window_edges
from train.peers.network import Output, Peer, classifier
from train.peers.transformer import Attention, FeedForward, Keys

if TYPE_CHECKING:
    from train.networks.cogmen import Params


class Cogmen(Peer):
    """A transformer over the dialogue, then a graph of the utterances, u_t the concatenated modalities:

    z   = Transformer(W u + b)                                       global context; no positions
    h_i = W_0 x_i + b + sum_r mean_{j of relation r}(W_r x_j)        x = W z + b; r as in DialogueGCN
    y_i = GraphTransformer(h)_i                                      over the same window
    logits = W ReLU(W LeakyReLU(BatchNorm(y)) + b) + b               with dropout before the last W
    """

    def __init__(self, params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> None:
        super().__init__(params, dims, class_counts)
        size, width = params.graph_size, params.width
        self.window = params.past, params.future
        self.speakers = params.speakers
        self.project = nn.Linear(self.inputs.size, width)
        self.transformer = nn.ModuleList(
            TransformerLayer(width, params.heads, params.feedforward_size, params.dropout)
            for _ in range(params.transformer_layers)
        )
        self.node = nn.Linear(width, size)
        self.relational = RelationalConvolution(size, size, params.speakers, bases=None, mean=True)
        self.attend = TransformerConvolution(size, size, params.graph_heads)
        self.norm = nn.BatchNorm1d(size * params.graph_heads)
        self.classify = classifier(size * params.graph_heads, size, params.dropout, len(class_counts))

    def forward(self, batch: Batch) -> Output:
        """Logits [n, classes]."""
        packing = batch.packing
        z = self.project(self.inputs.concatenate(batch))
        keys = Keys.of(torch.ones_like(batch.speaker, dtype=torch.bool), packing)
        for layer in self.transformer:
            z = layer(z, keys, packing)
        x = packing.to_lanes(self.node(z))
        edges = window_edges(packing, *self.window)
        speaker = packing.to_lanes(batch.speaker.clamp_max(self.speakers - 1))
        y = self.attend(self.relational(x, edges, speaker), edges)
        rows = self._normalise(packing.from_lanes(y))
        return self.output(self.classify(F.leaky_relu(rows)))

    def _normalise(self, rows: Tensor) -> Tensor:
        """Batch normalisation of [n, size]; one utterance alone has no spread, so it gets that of earlier
        ones."""
        if len(rows) > 1:
            return self.norm(rows)
        norm = self.norm
        return F.batch_norm(rows, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)


class TransformerLayer(nn.Module):
    """Self-attention and feed-forward, each with a residual and a layer norm after it."""

    def __init__(self, size: int, heads: int, inner_size: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(size, heads)
        self.dropout = Dropout(dropout)
        self.attention_norm = nn.LayerNorm(size)
        self.feed_forward = FeedForward(size, inner_size, nn.ReLU(), dropout)
        self.norm = nn.LayerNorm(size)

    def forward(self, x: Tensor, keys: Keys, packing: Packing) -> Tensor:
        """[n, size] to the same shape."""
        x = self.attention_norm(x + self.dropout(self.attention(x, x, keys, packing)))
        return self.norm(x + self.feed_forward(x))
