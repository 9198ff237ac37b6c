"""DialogueRNN against its equations written out, utterance by utterance."""

from __future__ import annotations

import pytest
import torch

from train.context import DialogueRNN, ModalityContext


def gru_cell(weights, direction):
    """torch's own GRUCell with the weights of one direction."""
    state = weights.weight_state.shape[1]
    cell = torch.nn.GRUCell(weights.weight_input.shape[1], state, dtype=torch.float64)
    with torch.no_grad():
        cell.weight_ih.copy_(weights.weight_input[direction].T)
        cell.weight_hh.copy_(weights.weight_state[direction].T)
        cell.bias_ih.copy_(weights.bias_input[direction, 0])
        cell.bias_hh.copy_(weights.bias_state[direction, 0])
    return lambda x, h: cell(x[None], h[None])[0]


def one_direction_written_out(rnn, direction, utterances, speakers):
    """Emotion state after each utterance: Majumder et al. (2019), Eq. 1-6."""
    gru_g, gru_p, gru_e = (gru_cell(w, direction) for w in (rnn.global_gru, rnn.party_gru, rnn.emotion_gru))
    zero = torch.zeros(rnn.state_size, dtype=torch.float64)
    party = dict.fromkeys(speakers, zero)
    past, g, e, emotions = [], zero, zero, []
    for u, speaker in zip(utterances, speakers, strict=True):
        g = gru_g(torch.cat([u, party[speaker]]), g)
        c = zero
        if past:
            scores = torch.stack([u @ rnn.attention[direction] @ p for p in past]).softmax(0)
            c = sum(a * p for a, p in zip(scores, past, strict=True))
        party[speaker] = gru_p(torch.cat([u, c]), party[speaker])
        e = gru_e(party[speaker], e)
        past.append(g)
        emotions.append(e)
    return emotions


def dialogue_written_out(rnn, utterances, speakers, observed):
    """Both directions of one dialogue; an unobserved utterance repeats the emotion state that stands."""
    halves = []
    for direction in (0, 1):
        places = [t for t in range(len(utterances)) if observed[t]]
        walk = list(range(len(utterances)))
        if direction == 1:
            places, walk = places[::-1], walk[::-1]
        seen, who = [utterances[t] for t in places], [speakers[t] for t in places]
        emotions = dict(zip(places, one_direction_written_out(rnn, direction, seen, who), strict=True))
        state = torch.zeros(rnn.state_size, dtype=torch.float64)
        half = [None] * len(utterances)
        for t in walk:
            half[t] = state = emotions.get(t, state)
        halves.append(torch.stack(half))
    return torch.cat(halves, dim=-1)


@pytest.fixture
def rnn():
    torch.manual_seed(0)
    return DialogueRNN(input_size=5, hidden_size=6).double()


@pytest.fixture
def dialogues():
    """Four dialogues of 7, 1, 4 and 3 utterances, some of them unobserved, one of them wholly."""
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(4, 7, 5, generator=generator, dtype=torch.float64)
    speaker = torch.tensor([[0, 1, 0, 2, 2, 1, 0], [0] * 7, [0, 0, 1, 0, 0, 0, 0], [0, 1, 2, 0, 0, 0, 0]])
    observed = torch.tensor([[1, 1, 0, 1, 1, 0, 1], [1] + 6 * [0], [0, 1, 1] + 4 * [0], 7 * [0]])
    return features, observed.bool(), speaker, [7, 1, 4, 3]


def test_dialogue_rnn_is_majumder_et_al(rnn, dialogues):
    features, observed, speaker, lengths = dialogues
    output = rnn(features, observed, speaker, speakers=3)
    for b, length in enumerate(lengths):
        one = features[b, :length], speaker[b, :length].tolist(), observed[b, :length]
        expected = dialogue_written_out(rnn, *one)
        torch.testing.assert_close(output[b, :length], expected, rtol=1e-12, atol=1e-12)


def test_the_future_reaches_only_the_backward_half(rnn, dialogues):
    features, observed, speaker, _ = dialogues
    changed = features.clone()
    changed[0, 6] += 1
    before, after = rnn(features, observed, speaker, 3)[0], rnn(changed, observed, speaker, 3)[0]
    assert torch.equal(before[:6, :3], after[:6, :3])
    assert not torch.isclose(before[:6, 3:], after[:6, 3:]).all(dim=1).any()


def test_who_speaks_matters_and_how_speakers_are_numbered_does_not(rnn, dialogues):
    features, observed, speaker, _ = dialogues
    output = rnn(features, observed, speaker, 3)[0]
    torch.testing.assert_close(rnn(features, observed, (speaker + 5) % 8, 8)[0], output)
    assert not torch.allclose(rnn(features, observed, torch.zeros_like(speaker), 3)[0], output)


def test_gradients_of_dialogue_rnn_are_exact(rnn, dialogues):
    features, observed, speaker, _ = dialogues
    part = features[:, :4].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: rnn(x, observed[:, :4], speaker[:, :4], 3), part)


def test_context_none_is_zero_where_not_observed(dialogues):
    features, observed, speaker, _ = dialogues
    context = ModalityContext(5, 6, "none").double()
    output = context(features, observed, speaker, 3)
    assert not output[~observed].any()
    torch.testing.assert_close(output[observed], context.fc(features[observed]))
