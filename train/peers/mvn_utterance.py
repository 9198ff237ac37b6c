"""The utterance view of MVN: Ma et al., Knowledge-Based Systems 2022."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.context import StackedGRU
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
        self.gru = StackedGRU(2, size)
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
        windows = Windows(packing, self.window)
        if not windows.counts:
            return s
        count = windows.counts[0]  # all but the first of each dialogue
        query = s.index_select(0, windows.row[:count])
        memory = self._memory(s, windows)
        scores = (memory @ query.unsqueeze(2)).squeeze(2)
        empty = torch.arange(memory.shape[1], device=s.device) >= windows.length[:count, None]
        weights = scores.masked_fill(empty, -torch.inf).softmax(dim=1)
        context = (weights.unsqueeze(1) @ memory).squeeze(1)
        gate = torch.sigmoid(self.gate(torch.cat([query, context], dim=1)))
        return s.index_copy(0, windows.row[:count], torch.lerp(context, query, gate))

    def _memory(self, s: Tensor, windows: Windows) -> Tensor:
        """m_j of each window, [windows, W, size], in the order of j; whatever stands behind its end."""
        gates = torch.baddbmm(self.gru.bias_input, s.expand(2, -1, -1), self.gru.weight_input)
        count = windows.counts[0]
        state = s.new_zeros(2, count, s.shape[1])
        utterances, forward, backward = [], [], []
        for ahead, back in windows.steps():
            to_state = torch.stack([gates[0].index_select(0, ahead), gates[1].index_select(0, back)])
            state = self.gru(to_state, state[:, : len(ahead)])
            missing = (0, 0, 0, count - len(ahead))
            utterances.append(F.pad(s.index_select(0, ahead), missing))
            forward.append(F.pad(state[0], missing))
            backward.append(F.pad(state[1], missing))
        # The backward state of the step k belongs to the utterance that is k before the window's last.
        step = torch.arange(len(backward), device=s.device)
        step = (windows.length[:count, None] - 1 - step).clamp(min=0)
        mirrored = torch.stack(backward, dim=1).gather(1, step.unsqueeze(2).expand(-1, -1, s.shape[1]))
        return torch.stack(utterances, dim=1) + torch.stack(forward, dim=1) + mirrored


class Windows:
    """The utterances before each utterance of a batch, the longest windows first.

    Those of a dialogue lie one after the other in [n], so that the window of row r is r - length..r - 1.
    """

    def __init__(self, packing: Packing, most: int) -> None:
        position = packing.places % packing.shape[1]
        self.row = packing.to_steps(torch.arange(len(position), device=position.device)).flip(0)
        """int64 [n]: whose window it is."""
        self.length = position[self.row].clamp(max=most)
        """int64 [n]"""
        n, longest = len(position), min(most, packing.shape[1] - 1)
        self.counts = [n - first for first in packing.first_of_step[1 : longest + 1]]
        """Windows that are longer than 0, 1, ..."""

    def steps(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Rows that the k-th steps of both directions read, int64 [windows longer than k] each."""
        for step, count in enumerate(self.counts):
            row = self.row[:count]
            yield row - self.length[:count] + step, row - 1 - step
