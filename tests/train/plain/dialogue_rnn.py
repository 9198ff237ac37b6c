"""DialogueRNN, utterance by utterance: Majumder et al. 2019, Eq. 1-6, and attention over emotion states."""

from __future__ import annotations

import torch

from tests.train.plain import concatenated, dialogue_attention, gru_step

SMALL = {
    "code": {
        "reduced_sizes": {"audio": 8}, "state_size": 8, "emotion_size": 6, "classifier_size": 8,
        "dropout": 0.0, "output_dropout": 0.0,
    }
}  # fmt: skip


def logits(network, dialogue):
    us = concatenated(network, dialogue)
    forward = one_direction(network.rnn, 0, us, dialogue.speaker)
    backward = one_direction(network.rnn, 1, us[::-1], dialogue.speaker[::-1])[::-1]
    es = [torch.cat(pair) for pair in zip(forward, backward, strict=True)]
    hidden, _, _, last = network.classify
    return torch.stack([last(hidden(m).relu()) for m in dialogue_attention(network.attention, es)])


def one_direction(rnn, direction, us, speakers):
    """e_1..e_T in the order in which the direction reads."""
    size = rnn.state_size
    of_global, of_party, query = rnn.utterance["u"][:, direction].split([3 * size, 3 * size, size], dim=1)
    global_gru = weights(rnn.global_gru, direction, of_global)
    party_gru = weights(rnn.party_gru, direction, of_party)
    emotion_gru = weights(rnn.emotion_gru, direction, of_global.new_zeros(0, 3 * rnn.emotion_size))
    g, e = us[0].new_zeros(size), us[0].new_zeros(rnn.emotion_size)
    past, party, es = [], {}, []
    for u, speaker in zip(us, speakers, strict=True):
        q = party.get(speaker, torch.zeros_like(g))
        c = torch.zeros_like(g)
        (g,) = gru_step(global_gru, torch.cat([u, q]), (g,))
        if past:
            scores = torch.stack([(u @ query) @ each for each in past]).softmax(0)
            c = sum(score * each for score, each in zip(scores, past, strict=True))
        past.append(g)
        (party[speaker],) = gru_step(party_gru, torch.cat([u, c]), (q,))
        (e,) = gru_step(emotion_gru, party[speaker], (e,))
        es.append(e)
    return es


def weights(gru, direction, of_utterance):
    """As a GRU cell of torch has them, whose input is [u, the rest]."""
    w_i = torch.cat([of_utterance, gru.weight_input[direction]]).T
    return w_i, gru.weight_state[direction].T, gru.bias_input[direction, 0], gru.bias_state[direction, 0]
