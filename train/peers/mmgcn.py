"""MMGCN's network: Hu et al., ACL 2021."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from train.data import Batch
from train.dropout import Dropout
from train.peers.graph import InitialResidual, modality_graph, modality_nodes, modality_rows
from train.peers.network import Output, Peer
from train.peers.recurrent import Bidirectional

if TYPE_CHECKING:
    from train.networks.mmgcn import Params

ALPHA, LAMBDA = 0.1, 0.5
"""Of GCNII's layers, as in the authors' code."""


class Mmgcn(Peer):
    """A graph whose nodes are the utterances of all modalities m.

        v^m_t = W_m u^m_t + b_m
        x^m_t = v^m_t,  for text LSTM(v^m_1..v^m_T)_t + speaker embedding       node inputs
        h_0 = ReLU(W_0 dropout(x) + b_0);  h_l = GCNII_l(dropout(h_{l-1}))      all nodes together
        logits_t = W ReLU(dropout([x^m_t, h^m_L,t for each m])) + b

    Speakers are told apart at the text's nodes alone, as in the code (the paper has them at all).  A modality
    that was not observed has no node, and zeros stand for it in the last line.
    """

    def __init__(self, params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> None:
        super().__init__(params, dims, class_counts)
        width, size, names = params.node_size, params.size, list(self.inputs.sizes)
        self.encode = nn.ModuleDict({name: nn.Linear(self.inputs.sizes[name], width) for name in names})
        if "text" in names:
            self.context = Bidirectional(nn.LSTM, width, width // 2, layers=2, dropout=params.dropout)
            self.speaker = nn.Embedding(params.speakers, width)
        self.first = nn.Linear(width, size)
        self.layers = InitialResidual(size, params.layers, ALPHA, LAMBDA)
        self.dropout = Dropout(params.dropout)
        self.classify = nn.Linear(len(names) * (width + size), len(class_counts))

    def forward(self, batch: Batch) -> Output:
        """Logits [n, classes]."""
        packing = batch.packing
        nodes = {name: self.encode[name](table) for name, table in self.inputs(batch).items()}
        if "text" in nodes:
            speaker = batch.speaker.clamp_max(self.speaker.num_embeddings - 1)
            nodes["text"] = self.context(nodes["text"], packing) + self.speaker(speaker)
        observed = torch.stack([batch.observed[name] for name in nodes], dim=1)  # [n, M]
        x = modality_nodes(torch.stack(list(nodes.values()), dim=1), packing)
        graph = modality_graph(x, modality_nodes(observed, packing), packing)
        x = self.dropout(x)
        first = h = torch.relu(self.first(x))
        for matrix, added in self.layers.of(first):
            h = torch.relu(graph @ self.dropout(h) @ matrix + added)
        rows = modality_rows(torch.cat([x, h], dim=-1), packing) * observed.unsqueeze(-1)
        return self.output(self.classify(torch.relu(self.dropout(rows.flatten(1)))))
