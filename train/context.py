"""How each modality sees the rest of its dialogue before fusion [3.3.1-3.3.3].

DialogueRNN is that of Majumder et al., "DialogueRNN: An Attentive RNN for Emotion Detection in
Conversations", AAAI 2019, in both directions.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn


class ModalityContext(nn.Module):
    """Features [B, T, D] of one modality to context vectors [B, T, hidden_size].

    ``reduced_size`` puts a fully-connected layer first, as the paper does for audio.  Without a
    DialogueRNN, a fully-connected layer makes the context vector from the utterance alone, zero
    where the modality was not observed.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        kind: Literal["none", "dialogue_rnn"],
        reduced_size: int | None = None,
    ) -> None:
        super().__init__()
        self.reduce = nn.Linear(input_size, reduced_size) if reduced_size else nn.Identity()
        size = reduced_size or input_size
        self.rnn = DialogueRNN(size, hidden_size) if kind == "dialogue_rnn" else None
        self.fc = nn.Linear(size, hidden_size) if kind == "none" else None

    def forward(self, features: Tensor, observed: Tensor, speaker: Tensor, speakers: int) -> Tensor:
        """Arguments as in DialogueRNN."""
        reduced = self.reduce(features)
        if self.rnn is not None:
            return self.rnn(reduced, observed, speaker, speakers)
        assert self.fc is not None
        return self.fc(reduced) * observed.unsqueeze(-1)


class DialogueRNN(nn.Module):
    """Bidirectional DialogueRNN: [B, T, D] to [B, T, hidden_size], half of it per direction.

    In each direction, for utterance u_t of speaker s (the paper's Eq. 1-6):

        g_t   = GRU_G(g_{t-1}, u_t + q_{s,t-1})           global state
        c_t   = softmax(u_t W [g_1..g_{t-1}]) [g_1..g_{t-1}]   context; 0 for the first utterance
        q_s,t = GRU_P(q_{s,t-1}, u_t + c_t)               party state; listeners keep theirs
        e_t   = GRU_E(e_{t-1}, q_s,t)                     emotion state, the output

    (here + is concatenation).  All states start at 0.  An utterance whose modality was not observed
    changes no state, and its output is the emotion state that stands there.

    Both directions run in one loop over time: the two sets of weights are stacked along a leading
    axis.  Each direction reads only the observed utterances, packed to the front in its own order.
    So padding and gaps stand behind everything that is read, and no step needs a mask.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        state = hidden_size // 2
        self.state_size = state
        self.global_gru = _TwoWayGRU(input_size + state, state)
        self.party_gru = _TwoWayGRU(input_size + state, state)
        self.emotion_gru = _TwoWayGRU(state, state)
        bound = 1 / math.sqrt(input_size)
        self.attention = nn.Parameter(torch.empty(2, input_size, state).uniform_(-bound, bound))

    def forward(self, features: Tensor, observed: Tensor, speaker: Tensor, speakers: int) -> Tensor:
        """Emotion states [B, T, hidden_size]: [:, :, :half] forward, [:, :, half:] backward.

        features [B, T, D]; observed bool [B, T], False at padding; speaker int64 [B, T] below ``speakers``.
        """
        batch, steps, size = features.shape
        order = _packed_order(observed)  # [2, B, T]
        # All that depends on u_t alone, for every step at once: [2, B, T, 7 * state].
        weights = torch.cat(
            [self.global_gru.weight_input[:, :size], self.party_gru.weight_input[:, :size], self.attention],
            dim=2,
        )
        projected = torch.einsum("btd,xdk->xbtk", features, weights)
        projected = projected.gather(2, order.unsqueeze(-1).expand(-1, -1, -1, projected.shape[-1]))
        gates = 3 * self.state_size
        for_global, for_party, query = projected.split([gates, gates, self.state_size], dim=-1)
        global_weight = self.global_gru.weight_input[:, size:]
        party_weight = self.party_gru.weight_input[:, size:]
        turns = speaker.expand(2, -1, -1).gather(2, order)

        g = e = c = features.new_zeros(2, batch, self.state_size)
        party = features.new_zeros(2, batch, speakers, self.state_size)
        history: list[Tensor] = []
        emitted = [e]
        for t in range(steps):
            turn = turns[:, :, t, None, None].expand(-1, -1, 1, self.state_size)
            q = party.gather(2, turn).squeeze(2)
            g = self.global_gru(for_global[:, :, t] + q @ global_weight, g)
            if history:
                past = torch.stack(history, dim=2)  # [2, B, t, state]
                attention = torch.einsum("xbh,xbth->xbt", query[:, :, t], past).softmax(dim=-1)
                c = torch.einsum("xbt,xbth->xbh", attention, past)
            q = self.party_gru(for_party[:, :, t] + c @ party_weight, q)
            party = party.scatter(2, turn, q.unsqueeze(2))
            e = self.emotion_gru(q @ self.emotion_gru.weight_input, e)
            history.append(g)
            emitted.append(e)

        # Utterance t gets the state after the last observed step up to it, seen in each direction.
        forward = observed.cumsum(1)
        backward = observed.flip(1).cumsum(1).flip(1)
        steps_read = torch.stack([forward, backward])[..., None].expand(-1, -1, -1, self.state_size)
        return torch.cat(list(torch.stack(emitted, dim=2).gather(2, steps_read)), dim=-1)


class _TwoWayGRU(nn.Module):
    """A GRU cell for each direction; torch's GRUCell with its weights transposed and stacked.

    Gates lie in the order reset, update, new.  The caller multiplies the input by ``weight_input``,
    because part of it can be done for all steps at once.
    """

    def __init__(self, input_size: int, state_size: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(state_size)

        def uniform(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))

        self.weight_input = uniform(2, input_size, 3 * state_size)
        self.weight_state = uniform(2, state_size, 3 * state_size)
        self.bias_input = uniform(2, 1, 3 * state_size)
        self.bias_state = uniform(2, 1, 3 * state_size)

    def forward(self, projected_input: Tensor, state: Tensor) -> Tensor:
        """The next state [2, B, state] from input @ weight_input [2, B, 3 * state] and the state."""
        reset_in, update_in, new_in = (projected_input + self.bias_input).chunk(3, dim=-1)
        projected_state = torch.baddbmm(self.bias_state, state, self.weight_state)
        reset_state, update_state, new_state = projected_state.chunk(3, dim=-1)
        new = torch.tanh(new_in + torch.sigmoid(reset_in + reset_state) * new_state)
        return torch.lerp(new, state, torch.sigmoid(update_in + update_state))


def _packed_order(observed: Tensor) -> Tensor:
    """int64 [2, B, T]: places of the observed utterances, first to last and last to first, then the rest."""
    absent = (~observed).to(torch.uint8)
    last = observed.shape[1] - 1
    return torch.stack(
        [absent.argsort(dim=1, stable=True), last - absent.flip(1).argsort(dim=1, stable=True)]
    )
