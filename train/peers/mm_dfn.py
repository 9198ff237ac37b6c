"""MM-DFN's network and its loss: Hu et al., ICASSP 2022."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.features.content import UNLABELLED
from train.data import Batch
from train.dropout import Dropout
from train.packing import Packing
from train.peers.graph import InitialResidual, modality_graph, modality_nodes, modality_rows
from train.peers.network import Output, Peer
from train.peers.recurrent import Bidirectional

if TYPE_CHECKING:
    from train.networks.mm_dfn import Params

ALPHA, LAMBDA = 0.2, 0.5
"""Of GCNII's layers, as in the authors' code."""


class MmDfn(Peer):
    """MMGCN's graph, with memory from layer to layer.  Node inputs, for modality m:

        v^m_t = W_m u^m_t + b_m
        s^m_t = GRU_s(v^m of the utterances of t's speaker)_t             one for all speakers and modalities
        x^m_t = v^m_t + w_m s^m_t,  for text GRU(v^m_1..v^m_T)_t + w_m s^m_t

    Layers, all nodes together; the LSTM reads each node's states, layer after layer, and is one for all:

        i = ReLU(W_0 dropout(x) + b_0);  h_0 = dropout(i);  (g_l, c_l) = LSTM(h_{l-1}, (g_{l-1}, c_{l-1}))
        h_l = dropout(GCNII_l(g_l)) + h_{l-1}                             whose initial residual is i
        logits_t = W ReLU(dropout([x^m_t, h^m_L,t for each m])) + b

    A modality that was not observed has no node, and zeros stand for it in the last line.
    """

    def __init__(self, params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> None:
        super().__init__(params, dims, class_counts)
        width, size, sizes = params.node_size, params.size, self.inputs.sizes
        self.focus = params.focus
        self.party_weights = [params.party_weights.get(name, 0.0) for name in sizes]
        self.encode = nn.ModuleDict({name: nn.Linear(sizes[name], width) for name in sizes})
        if "text" in sizes:
            self.context = Bidirectional(nn.GRU, width, width // 2, layers=2, dropout=params.dropout)
        self.party = Bidirectional(nn.GRU, width, width // 2)
        self.first = nn.Linear(width, size)
        self.memory = nn.LSTMCell(size, size)
        self.layers = InitialResidual(size, params.layers, ALPHA, LAMBDA)
        self.dropout = Dropout(params.dropout)
        self.classify = nn.Linear(len(sizes) * (width + size), len(class_counts))

    def forward(self, batch: Batch) -> Output:
        """Logits [n, classes]."""
        packing = batch.packing
        nodes = {name: self.encode[name](table) for name, table in self.inputs(batch).items()}
        order, parties = by_party(batch)
        back = order.argsort()
        said = [self.party(v.index_select(0, order), parties).index_select(0, back) for v in nodes.values()]
        if "text" in nodes:
            nodes["text"] = self.context(nodes["text"], packing)
        rows = torch.stack(
            [v + w * s for v, w, s in zip(nodes.values(), self.party_weights, said, strict=True)], dim=1
        )
        observed = torch.stack([batch.observed[name] for name in nodes], dim=1)  # [n, M]
        x = modality_nodes(rows, packing)
        graph = modality_graph(x, modality_nodes(observed, packing), packing)
        x = self.dropout(x)
        h = self._fuse(torch.relu(self.first(x)), graph)
        rows = modality_rows(torch.cat([x, h], dim=-1), packing) * observed.unsqueeze(-1)
        return self.output(self.classify(torch.relu(self.dropout(rows.flatten(1)))))

    def losses(self, output: Output, label: Tensor) -> dict[str, Tensor]:
        """``total``: the mean of -w (1 - p)^gamma ln p, p and w those of each labelled utterance's class.

        No gradient goes through (1 - p)^gamma, and the sum of weights divides nothing, as in the authors'
        code.
        """
        sample = label != UNLABELLED
        weight = self.cross_entropy.weight
        surprise = F.cross_entropy(output.logits[sample], label[sample], reduction="none")
        missing = -torch.expm1(-surprise.detach())  # 1 - p, exact for p near 1
        return {"total": (weight[label[sample]] * missing**self.focus * surprise).mean()}

    def _fuse(self, first: Tensor, graph: Tensor) -> Tensor:
        """h_L from h_0, both [L, M * T, size], over the graph's matrix [L, M * T, M * T]."""
        # Many small steps one upon the other: little to gain from a lower precision, and much to lose.
        with torch.autocast(first.device.type, enabled=False):
            first, state = first.to(self.first.weight.dtype), None
            h = self.dropout(first)
            for matrix, added in self.layers.of(first):
                state = self.memory(h.flatten(0, -2), state)
                g = state[0].view_as(h)
                h = self.dropout(torch.relu(graph @ g @ matrix + added)) + h
        return h


def by_party(batch: Batch) -> tuple[Tensor, Packing]:
    """Rows of the batch, int64 [n], those of each speaker of a dialogue together; and their packing."""
    dialogue = batch.packing.places // batch.packing.shape[1]
    _, party, counts = torch.unique(
        dialogue * batch.speakers + batch.speaker, return_inverse=True, return_counts=True
    )
    longest_first = party - len(counts) * counts[party]
    lengths = counts.sort(descending=True).values.tolist()
    return longest_first.argsort(stable=True), Packing(lengths, party.device)
