"""The utterance view of MVN: Ma et al., Knowledge-Based Systems 2022."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from train.data import Batch
from train.dropout import Dropout
from train.packing import Packing
from train.peers.network import Output, Peer

if TYPE_CHECKING:
    from train.networks.mvn_utterance import Params


class MvnUtterance(Peer):
    """Each utterance attends to a memory of the W utterances before it, and to none after it:

        s_i = W_s u_i + b_s                            of the concatenated modalities u_i
        m_j = s_j + forward_j + backward_j             j = i-W..i-1; GRUs over s_{i-W}..s_{i-1} alone
        c_i = sum_j softmax_j(s_i . m_j) m_j
        z_i = sigmoid(A s_i + B c_i)
        logits_i = W_2 dropout(tanh(W_1 (z_i s_i + (1 - z_i) c_i) + b_1)) + b_2

    The first utterance of a dialogue passes as s_1.  In MVN s_i is the pooled word vectors of i, and these
    logits are one of two log-probabilities that it adds up.
    """

    def __init__(self, params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> None:
        super().__init__(params, dims, class_counts)
        size = params.state_size
        self.window = params.window
        self.project = nn.Linear(self.inputs.size, size)
        self.gru = nn.GRU(size, size, bidirectional=True)
        self.gate = nn.Linear(2 * size, size, bias=False)
        """[A, B]"""
        self.hidden = nn.Linear(size, params.classifier_size)
        self.dropout = Dropout(params.dropout)
        self.last = nn.Linear(params.classifier_size, len(class_counts))

    def forward(self, batch: Batch) -> Output:
        """Logits [n, classes]."""
        s = self.project(self.inputs.concatenate(batch))
        with torch.autocast(s.device.type, enabled=False):
            s = s.to(self.project.weight.dtype)
            seen = self._attend(s, batch.packing)
        return self.output(self.last(self.dropout(torch.tanh(self.hidden(seen)))))

    def _attend(self, s: Tensor, packing: Packing) -> Tensor:
        """s_i, gated with what it sees of its window; both [n, size]."""
        n, longest = len(s), min(self.window, packing.shape[1] - 1)
        # Windows that are longer than 0, 1, ...; the utterances that have them come last when sorted by step.
        counts = [n - first for first in packing.first_of_step[1 : longest + 1]]
        if not counts:
            return s
        row = packing.to_steps(torch.arange(n, device=s.device)).flip(0)[: counts[0]]
        length = packing.position[row].clamp(max=longest)  # falling
        # The utterances of a dialogue are rows one after the other: a window of row r is r - length .. r - 1.
        rows = torch.cat([(row - length)[:count] + step for step, count in enumerate(counts)])
        windows = PackedSequence(s.index_select(0, rows), torch.tensor(counts, device="cpu"))
        forward, backward = self.gru(windows)[0].data.chunk(2, dim=1)
        memory, _ = pad_packed_sequence(
            PackedSequence(windows.data + forward + backward, windows.batch_sizes), batch_first=True
        )  # [windows, W, size]
        query = s.index_select(0, row)
        scores = (memory @ query.unsqueeze(2)).squeeze(2)
        empty = torch.arange(longest, device=s.device) >= length[:, None]
        weights = scores.masked_fill(empty, -torch.inf).softmax(dim=1)
        context = (weights.unsqueeze(1) @ memory).squeeze(1)
        gate = torch.sigmoid(self.gate(torch.cat([query, context], dim=1)))
        return s.index_copy(0, row, torch.lerp(context, query, gate))
