"""BC-LSTM's network: Poria et al., ACL 2017."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from train.data import Batch
from train.peers.attention import DialogueAttention
from train.peers.network import Output, Peer, classifier
from train.peers.recurrent import Bidirectional

if TYPE_CHECKING:
    from train.networks.bc_lstm import Params


class BcLstm(Peer):
    """Bidirectional LSTMs over the concatenated modalities u_t of a dialogue; speakers are not told apart.

        h_t = LSTM(u_1..u_T)_t                          both directions
        m_t = sum_s softmax_s(tanh((W h_t + b) . h_s)) h_s    with ``attention``, else h_t
        logits_t = W_2 dropout(ReLU(W_1 m_t + b_1)) + b_2

    ``hierarchical``: u_t is [LSTM_m(u^m_1..u^m_T)_t for each modality m], and one LSTM reads it.
    """

    def __init__(self, params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> None:
        super().__init__(params, dims, class_counts)
        size, own = params.state_size, self.inputs.sizes if params.hierarchical else {}
        self.each = nn.ModuleDict(
            {
                name: Bidirectional(nn.LSTM, width, size, params.layers, params.dropout)
                for name, width in own.items()
            }
        )
        width, layers = (2 * size * len(own), 1) if own else (self.inputs.size, params.layers)
        self.together = Bidirectional(nn.LSTM, width, size, layers, params.dropout)
        self.attention = DialogueAttention(2 * size, squashed=True) if params.attention else None
        self.classify = classifier(2 * size, params.classifier_size, params.dropout, len(class_counts))

    def forward(self, batch: Batch) -> Output:
        """Logits [n, classes]."""
        inputs = self.inputs(batch)
        for name, lstm in self.each.items():
            inputs[name] = lstm(inputs[name], batch.packing)
        states = self.together(torch.cat(list(inputs.values()), dim=-1), batch.packing)
        if self.attention is not None:
            states = self.attention(states, batch.packing)
        return self.output(self.classify(states))
