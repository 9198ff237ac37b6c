"""DialogueGCN's network: Ghosal et al., EMNLP 2019."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from train.data import Batch
from train.peers.attention import DialogueAttention
from train.peers.graph import GraphConvolution, RelationalConvolution, window_edges
from train.peers.network import Output, Peer, classifier
from train.peers.recurrent import Bidirectional

if TYPE_CHECKING:
    from train.networks.dialogue_gcn import Params


class DialogueGcn(Peer):
    """A graph whose nodes are the utterances, u_t the concatenated modalities (equations of its section 3.3):

        g_t  = LSTM(u_1..u_T)_t                                   sequential context
        a_ij = softmax_j(g_i W_e g_j)                             over the window around i, itself included
        h_i  = f(W_0 g_i + b + sum_j a_ij W_{r(j,i)} g_j)         r: both speakers, and whether j < i
        y_i  = f(W_1 h_i + W_2 sum_j h_j + b)
        logits_i = W ReLU(attention([g_i, y_i])) + b              with dropout before W

    As in the code, what arrives in h_i is divided by no c_{i,r}, which a_ij has done already, and f is no
    function unless ``activation`` says so.
    """

    def __init__(self, params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> None:
        super().__init__(params, dims, class_counts)
        context, size = 2 * params.state_size, params.graph_size
        self.window = params.past, params.future
        self.speakers = params.speakers
        self.context = Bidirectional(
            nn.LSTM, self.inputs.size, params.state_size, params.lstm_layers, params.dropout
        )
        self.edge = nn.Linear(context, context, bias=False)
        self.relational = RelationalConvolution(context, size, params.speakers, params.bases, mean=False)
        self.convolution = GraphConvolution(size, size)
        self.activation = nn.ReLU() if params.activation == "relu" else nn.Identity()
        self.attention = DialogueAttention(context + size, squashed=True) if params.attention else None
        self.classify = classifier(context + size, params.classifier_size, params.dropout, len(class_counts))

    def forward(self, batch: Batch) -> Output:
        """Logits [n, classes]."""
        packing = batch.packing
        context = self.context(self.inputs.concatenate(batch), packing)
        g = packing.to_lanes(context)
        edges = window_edges(packing, *self.window)
        weights = (self.edge(g) @ g.transpose(1, 2)).masked_fill(~edges, -torch.inf).softmax(dim=-1)
        speaker = packing.to_lanes(batch.speaker.clamp_max(self.speakers - 1))
        h = self.activation(self.relational(g, weights, speaker))
        y = self.activation(self.convolution(h, edges))
        states = torch.cat([context, packing.from_lanes(y)], dim=-1)
        if self.attention is not None:
            states = self.attention(states, packing)
        return self.output(self.classify(states))
