"""DAG-ERC's network: Shen et al., ACL 2021."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.data import Batch
from train.dropout import Dropout
from train.packing import Packing
from train.peers.network import Output, Peer
from train.peers.recurrent import gru_state

if TYPE_CHECKING:
    from train.networks.dag_erc import Params


class DagErc(Peer):
    """Utterances get from those before them, back to the speaker's own last one, layer by layer:

    h^0_i = ReLU(W_0 u_i + b_0)
    logits_i = W_3 dropout(ReLU(W_2 ReLU(W_1 [h^0_i, .., h^L_i, u_i] + b_1) + b_2)) + b_3
    """

    def __init__(self, params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> None:
        super().__init__(params, dims, class_counts)
        size = params.hidden_size
        self.first = nn.Linear(self.inputs.size, size)
        self.layers = nn.ModuleList(DagLayer(size) for _ in range(params.layers))
        self.classify = nn.Sequential(
            nn.Linear((params.layers + 1) * size + self.inputs.size, size),
            nn.ReLU(),
            nn.Linear(size, size),
            nn.ReLU(),
            Dropout(params.dropout),
            nn.Linear(size, len(class_counts)),
        )

    def forward(self, batch: Batch) -> Output:
        """Logits [n, classes]."""
        u, packing = self.inputs.concatenate(batch), batch.packing
        h = self.first(u).relu()
        speaker = packing.pad(batch.speaker + 1)
        same = speaker.unsqueeze(2) == speaker.unsqueeze(1)
        edges = predecessors(same)
        relations = torch.stack([edges & same, edges & ~same], dim=1)
        states = [h]
        with torch.autocast(h.device.type, enabled=False):
            for layer in self.layers:
                states.append(layer(states[-1].to(self.first.weight.dtype), relations, packing))
        return self.output(self.classify(torch.cat([*states, u], dim=-1)))


class DagLayer(nn.Module):
    """One layer, in which every utterance i reads what its predecessors have become in it:

        a_ij = softmax_j(w . h_j)                      over the predecessors j of i
        M_i = sum_j a_ij W_{same or other speaker} h_j
        h_i = GRU_C(input h'_i, state M_i) + GRU_P(input M_i, state h'_i)

    with h'_i from the layer before; M is 0 where there are no predecessors.  The code's attention also adds a
    product of h'_i to each score, which the softmax over j takes out again.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.score = nn.Linear(size, 1, bias=False)
        self.relate = nn.Linear(2 * size, size, bias=False)
        """[W_same, W_other]"""
        self.context = nn.GRUCell(size, size)
        """GRU_C"""
        self.party = nn.GRUCell(size, size)
        """GRU_P"""

    def forward(self, before: Tensor, relations: Tensor, packing: Packing) -> Tensor:
        """h' [n, size] and predecessors by relation, bool [B, 2, T, T], to h [n, size]."""
        before = packing.to_steps(before)
        # What of the gates depends on h' alone; it is done for all steps at once.
        of_context = F.linear(before, self.context.weight_ih, self.context.bias_ih)
        of_party = F.linear(before, self.party.weight_hh, self.party.bias_hh)
        counts = packing.dialogues_at_step
        past = before.new_zeros(counts[0], 0, before.shape[1])
        scores = before.new_zeros(counts[0], 0)
        steps = zip(*(each.split(counts) for each in (before, of_context, of_party)), strict=True)
        found = []
        for step, (h_before, gates_c, gates_p) in enumerate(steps):
            count = len(h_before)
            past, scores = past[:count], scores[:count]
            if step:
                edges = relations[:count, :, step, :step]
                weights = scores.masked_fill(~edges.any(dim=1), -torch.inf).softmax(dim=1)
                message = self.relate(((weights.unsqueeze(1) * edges) @ past).flatten(1))
            else:
                message = torch.zeros_like(h_before)
            to_context = F.linear(message, self.context.weight_hh, self.context.bias_hh)
            to_party = F.linear(message, self.party.weight_ih, self.party.bias_ih)
            h = gru_state(gates_c, to_context, message) + gru_state(to_party, gates_p, h_before)
            past = torch.cat([past, h.unsqueeze(1)], dim=1)
            scores = torch.cat([scores, self.score(h)], dim=1)
            found.append(h)
        return packing.from_steps(torch.cat(found))


def predecessors(same: Tensor) -> Tensor:
    """Whether i gets from j, bool [B, T, T] at [b, i, j], from whether their speakers are the same.

    Those are all j < i, back to and with the last one of the speaker of i.
    """
    earlier = torch.ones_like(same).tril(-1)
    own = (same & earlier).flip(2)
    nearer = (own.cumsum(dim=2) - own.to(torch.int64)).flip(2)  # own utterances between j and i
    return earlier & (nearer == 0)
