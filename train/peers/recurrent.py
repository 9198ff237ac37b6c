"""Recurrences over the dialogues of a batch, without padding: none depends on what stands beside it.

DialogueRNN is that of Majumder et al., "DialogueRNN: An Attentive RNN for Emotion Detection in
Conversations", AAAI 2019.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from train.dropout import Dropout
from train.packing import Packing


class Bidirectional(nn.Module):
    """Layers of ``nn.LSTM`` or ``nn.GRU`` over each dialogue in both directions, dropout between layers.

    Layers of their own, and not torch's ``num_layers``: on a GPU the dropout of that has random numbers which
    outlast a training, so that the same seed would not give the same bits.
    """

    def __init__(
        self,
        cell: type[nn.LSTM] | type[nn.GRU],
        input_size: int,
        size: int,
        layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        widths = [input_size, *[2 * size] * (layers - 1)]
        self.layers = nn.ModuleList(cell(width, size, bidirectional=True) for width in widths)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        """[n, input_size] to [n, 2 * size]: states of the forward, then of the backward direction."""
        dialogues = torch.tensor(packing.dialogues_at_step, device="cpu")
        # Many small steps one upon the other: little to gain from a lower precision, and much to lose.
        with torch.autocast(x.device.type, enabled=False):
            states = packing.to_steps(x.to(next(self.parameters()).dtype))
            for number, layer in enumerate(self.layers):
                inputs = self.dropout(states) if number else states
                states = layer(PackedSequence(inputs, dialogues))[0].data
            return packing.from_steps(states)


class DialogueRNN(nn.Module):
    """DialogueRNN of each modality, forward or in both directions: [n, D] to [n, directions * emotion_size].

    In each direction, for utterance u_t of speaker s (the paper's Eq. 1-6):

        g_t   = GRU_G(g_{t-1}, u_t + q_{s,t-1})           global state
        c_t   = softmax(u_t W [g_1..g_{t-1}]) [g_1..g_{t-1}]   context; 0 for the first utterance
        q_s,t = GRU_P(q_{s,t-1}, u_t + c_t)               party state; listeners keep theirs
        e_t   = GRU_E(e_{t-1}, q_s,t)                     emotion state, the output

    (here + is concatenation).  Attention is ``general`` as above, with a matrix W, or ``simple``: its scores
    are [g_1..g_{t-1}] w, with a vector w, whatever the utterance is.  All states start at 0.  An utterance
    whose modality was not observed changes no state, and its output is the emotion state that stands there.
    Emotion states may have a width of their own.  Dropout, if any, is that of each new state.

    All modalities and directions run in one loop over time.  They are its R readers (first
    modality forward, backward, second modality forward, ...), whose weights and states are stacked
    along a leading axis.  Each reads only what is observed, packed to the front in its own order: so
    gaps stand behind everything that is read, and no step needs a mask.
    """

    def __init__(
        self,
        input_sizes: Mapping[str, int],
        state_size: int,
        directions: int,
        attention: str,
        emotion_size: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        state = state_size
        readers = directions * len(input_sizes)
        self.state_size, self.directions = state, directions
        self.emotion_size = emotion_size or state
        self.global_gru = StackedGRU(readers, state)
        self.party_gru = StackedGRU(readers, state)
        self.emotion_gru = StackedGRU(readers, self.emotion_size, input_size=state)
        self.dropout = Dropout(dropout)
        # What of the gates and of attention depends on u_t alone; it is done for all steps at once.
        query_size = state if attention == "general" else 0
        self.utterance = nn.ParameterDict(
            {
                name: torch.cat(
                    [
                        _uniform(size, directions, 6 * state, bound=state**-0.5),
                        _uniform(size, directions, query_size, bound=size**-0.5),
                    ],
                    dim=-1,
                )
                for name, size in input_sizes.items()
            }
        )
        """[D, directions, 7 * state] per modality: GRU_G's gates, GRU_P's gates, W if attention has it."""
        self.query = None if query_size else nn.Parameter(_uniform(readers, 1, state, bound=state**-0.5))
        """w of each reader, where attention is simple."""

    def forward(
        self, features: Mapping[str, Tensor], observed: Mapping[str, Tensor], speaker: Tensor, speakers: int,
        packing: Packing,
    ) -> dict[str, Tensor]:  # fmt: skip
        """Emotion states [n, directions * emotion_size]: forward, then backward if there is such.

        features [n, D] and observed bool [n] per modality; speaker int64 [n] below ``speakers``.
        """
        seen = torch.stack([observed[name] for name in self.utterance])
        order, read_before = _reading_order(seen, packing, self.directions)
        projected = torch.cat(
            [
                (features[name] @ weight.flatten(1)).unflatten(1, (self.directions, -1))
                for name, weight in self.utterance.items()
            ],
            dim=1,
        )  # [n, R, 7 * state], or 6 * state where no query depends on the utterance
        reader = torch.arange(len(order), device=order.device)[:, None]
        gates = 3 * self.state_size
        by_step = _take_rows(projected.flatten(0, 1), order * len(order) + reader).to(
            self.party_gru.weight_state.dtype
        )  # [R, n, ...]
        for_global, for_party, query = by_step.split([gates, gates, by_step.shape[-1] - 2 * gates], dim=-1)
        if self.query is not None:
            query = self.query.expand(-1, by_step.shape[1], -1)
        turns = speaker[order]

        # Many small steps one upon the other: little to gain from a lower precision, and much to lose.
        with torch.autocast(query.device.type, enabled=False):
            party_states = self._party_states(for_global, for_party, query, turns, speakers, packing)
            emitted = self._emotion_states(party_states, packing)  # [R, n, emotion_size], by step
        # An utterance gets the state after the last read step up to it; row 0 is the state at the start.
        emitted = F.pad(emitted, (0, 0, 1, 0))
        states = _take_rows(emitted.flatten(0, 1), reader * emitted.shape[1] + read_before)
        return {
            name: torch.cat([*states[self.directions * i : self.directions * (i + 1)]], dim=-1)
            for i, name in enumerate(self.utterance)
        }

    def _party_states(
        self,
        for_global: Tensor,
        for_party: Tensor,
        query: Tensor,
        turns: Tensor,
        speakers: int,
        packing: Packing,
    ) -> Tensor:
        """q_{s,t} of each step's speaker [R, n, state], sorted by step, as are the arguments [R, n, ...]."""
        readers, _, size = query.shape
        for_global = for_global + self.global_gru.bias_input
        for_party = for_party + self.party_gru.bias_input
        g = c = query.new_zeros(readers, packing.shape[0], size)
        past = query.new_zeros(readers, packing.shape[0], 0, size)
        party = query.new_zeros(readers, packing.shape[0], speakers, size)
        spoken = []
        counts = packing.dialogues_at_step
        steps = zip(
            *(each.split(counts, dim=1) for each in (for_global, for_party, query, turns)), strict=True
        )
        for count, (to_global, to_party, u, turn) in zip(counts, steps, strict=True):
            if count < g.shape[1]:  # the shortest dialogues are over
                g, c, past, party = g[:, :count], c[:, :count], past[:, :count], party[:, :count]
            turn = turn[:, :, None, None].expand(-1, -1, 1, size)
            q = party.gather(2, turn).squeeze(2)
            g = self.dropout(self.global_gru(torch.baddbmm(to_global, q, self.global_gru.weight_input), g))
            if past.shape[2]:
                attention = (past @ u.unsqueeze(3)).softmax(dim=2)
                c = (attention * past).sum(dim=2)
            past = torch.cat([past, g.unsqueeze(2)], dim=2)
            q = self.dropout(self.party_gru(torch.baddbmm(to_party, c, self.party_gru.weight_input), q))
            party = party.scatter(2, turn, q.unsqueeze(2))
            spoken.append(q)
        return torch.cat(spoken, dim=1)

    def _emotion_states(self, party_states: Tensor, packing: Packing) -> Tensor:
        """e_t [R, n, emotion_size] from q_{s,t} [R, n, state], both sorted by step."""
        gru = self.emotion_gru
        gates = torch.baddbmm(gru.bias_input, party_states, gru.weight_input)
        e = party_states.new_zeros(len(party_states), packing.shape[0], self.emotion_size)
        emitted = []
        for step in gates.split(packing.dialogues_at_step, dim=1):
            e = self.dropout(gru(step, e[:, : step.shape[1]]))
            emitted.append(e)
        return torch.cat(emitted, dim=1)


class StackedGRU(nn.Module):
    """R GRU cells of one size; torch's GRUCell with its weights transposed and stacked.

    Gates lie in the order reset, update, new.  The caller multiplies the input by ``weight_input``
    and adds ``bias_input``, because part of that can be done for all steps at once.
    """

    def __init__(self, readers: int, size: int, input_size: int | None = None) -> None:
        """``input_size``: of what is multiplied by ``weight_input``; as wide as the state if not given."""
        super().__init__()
        bound = size**-0.5
        self.weight_input = nn.Parameter(_uniform(readers, input_size or size, 3 * size, bound=bound))
        self.weight_state = nn.Parameter(_uniform(readers, size, 3 * size, bound=bound))
        self.bias_input = nn.Parameter(_uniform(readers, 1, 3 * size, bound=bound))
        self.bias_state = nn.Parameter(_uniform(readers, 1, 3 * size, bound=bound))

    def forward(self, gates: Tensor, state: Tensor) -> Tensor:
        """The next state [R, b, size] from what the input adds to the gates [R, b, 3 * size]."""
        return gru_state(gates, torch.baddbmm(self.bias_state, state, self.weight_state), state)


def gru_state(of_input: Tensor, of_state: Tensor, state: Tensor) -> Tensor:
    """A GRU's next state [..., size] from what input and state add to its gates, [..., 3 * size] each."""
    sizes = [2 * state.shape[-1], state.shape[-1]]
    both, new = of_input.split(sizes, dim=-1)
    both_of_state, new_of_state = of_state.split(sizes, dim=-1)
    reset, update = torch.sigmoid(both + both_of_state).chunk(2, dim=-1)
    return torch.lerp(torch.tanh(torch.addcmul(new, reset, new_of_state)), state, update)


def _uniform(*shape: int, bound: float) -> Tensor:
    return torch.empty(*shape).uniform_(-bound, bound)


def _take_rows(table: Tensor, index: Tensor) -> Tensor:
    """Rows of a table [m, size] as [*index.shape, size]; table[index] has a far slower gradient."""
    return table.index_select(0, index.flatten()).unflatten(0, index.shape)


def _reading_order(observed: Tensor, packing: Packing, directions: int) -> tuple[Tensor, Tensor]:
    """How the readers of each modality go through the utterances; both int64 [readers, n].

    First, which utterance is read at each place when sorted by step: a dialogue's observed ones from
    first to last (or last to first), then the rest.  Second, for each utterance, 1 + the place of the
    last step that its reader has made when it has passed the utterance; 0 where it has made none.
    """
    batch, steps = packing.shape
    seen = packing.pad(observed.T).permute(2, 0, 1)  # [modalities, B, T]
    # Each reader in its own direction.
    seen = torch.stack([seen, seen.flip(-1)][:directions], dim=1).flatten(0, 1)
    valid = torch.stack([packing.valid, packing.valid.flip(-1)][:directions]).repeat(len(observed), 1, 1)
    backward = slice(1, None, 2) if directions == 2 else slice(0)
    rank = (~seen).to(torch.uint8) + (~valid).to(torch.uint8)  # observed, then unobserved, then padding
    step = rank.argsort(dim=-1, stable=True)
    step[backward] = steps - 1 - step[backward]
    utterance = packing.valid.flatten().cumsum(0).unflatten(0, packing.shape) - 1
    order = utterance.expand(len(step), -1, -1).gather(2, step).flatten(1)[:, packing.by_step]

    made = seen.cumsum(-1)
    made[backward] = made[backward].flip(-1)
    first = torch.tensor([0, *packing.first_of_step], device=made.device)
    dialogue = torch.arange(batch, device=made.device)[:, None]
    place = torch.where(made > 0, first[made] + dialogue + 1, 0)
    return order, place.flatten(1)[:, packing.places]
