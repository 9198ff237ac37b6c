"""DialogueRNN against its equations written out, utterance by utterance."""

from __future__ import annotations

import pytest
import torch

from train.packing import Packing
from train.peers.recurrent import DialogueRNN

CPU = torch.device("cpu")


def gru_cell(weights, reader, of_utterance):
    """torch's own GRUCell with the weights of one reader; of_utterance [D, 3 * state] may be empty."""
    weight_input = torch.cat([of_utterance, weights.weight_input[reader]])
    cell = torch.nn.GRUCell(*weight_input.shape[:1], weights.weight_state.shape[1], dtype=torch.float64)
    with torch.no_grad():
        cell.weight_ih.copy_(weight_input.T)
        cell.weight_hh.copy_(weights.weight_state[reader].T)
        cell.bias_ih.copy_(weights.bias_input[reader, 0])
        cell.bias_hh.copy_(weights.bias_state[reader, 0])
    return lambda x, h: cell(x[None], h[None])[0]


def one_direction_written_out(rnn, name, direction, utterances, speakers):
    """Emotion state after each utterance: Majumder et al. (2019), Eq. 1-6."""
    reader = 2 * list(rnn.utterance).index(name) + direction
    gates = 3 * rnn.state_size
    for_g, for_p, w = rnn.utterance[name][:, direction].split([gates, gates, rnn.state_size], dim=1)
    gru_g, gru_p = gru_cell(rnn.global_gru, reader, for_g), gru_cell(rnn.party_gru, reader, for_p)
    gru_e = gru_cell(rnn.emotion_gru, reader, for_g[:0])
    zero = torch.zeros(rnn.state_size, dtype=torch.float64)
    party = dict.fromkeys(speakers, zero)
    past, g, e, emotions = [], zero, zero, []
    for u, speaker in zip(utterances, speakers, strict=True):
        g = gru_g(torch.cat([u, party[speaker]]), g)
        c = zero
        if past:
            scores = torch.stack([u @ w @ p for p in past]).softmax(0)
            c = sum(a * p for a, p in zip(scores, past, strict=True))
        party[speaker] = gru_p(torch.cat([u, c]), party[speaker])
        e = gru_e(party[speaker], e)
        past.append(g)
        emotions.append(e)
    return emotions


def dialogue_written_out(rnn, name, utterances, speakers, observed):
    """Both directions of one dialogue; an unobserved utterance repeats the emotion state that stands."""
    halves = []
    for direction in (0, 1):
        places = [t for t in range(len(utterances)) if observed[t]]
        walk = list(range(len(utterances)))
        if direction == 1:
            places, walk = places[::-1], walk[::-1]
        seen, who = [utterances[t] for t in places], [speakers[t] for t in places]
        emotions = dict(zip(places, one_direction_written_out(rnn, name, direction, seen, who), strict=True))
        state = torch.zeros(rnn.state_size, dtype=torch.float64)
        half = [None] * len(utterances)
        for t in walk:
            half[t] = state = emotions.get(t, state)
        halves.append(torch.stack(half))
    return torch.cat(halves, dim=-1)


@pytest.fixture
def rnn():
    torch.manual_seed(0)
    return DialogueRNN({"audio": 5, "visual": 4}, 3, directions=2, attention="general").double()


@pytest.fixture
def dialogues():
    return some_unobserved()


def some_unobserved():
    """Features, observed, speakers and packing of dialogues of 7, 4, 3 and 1 utterances.

    In the third all of audio's are unobserved, and some others.
    """
    generator = torch.Generator().manual_seed(1)
    packing = Packing([7, 4, 3, 1], CPU)
    features = {
        name: torch.randn(15, size, generator=generator, dtype=torch.float64)
        for name, size in (("audio", 5), ("visual", 4))
    }
    speaker = torch.tensor([0, 1, 0, 2, 2, 1, 0, 0, 0, 1, 0, 0, 1, 2, 0])
    observed = {
        "audio": torch.tensor([1, 1, 0, 1, 1, 0, 1, 0, 1, 1, 0, 0, 0, 0, 1]).bool(),
        "visual": torch.tensor([0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 1, 1, 0]).bool(),
    }
    return features, observed, speaker, packing


def test_dialogue_rnn_is_majumder_et_al_in_every_modality_and_direction(rnn, dialogues):
    features, observed, speaker, packing = dialogues
    output = rnn(features, observed, speaker, 3, packing)
    for name in ("audio", "visual"):
        for rows in torch.arange(15).split([7, 4, 3, 1]):
            one = features[name][rows], speaker[rows].tolist(), observed[name][rows]
            expected = dialogue_written_out(rnn, name, *one)
            torch.testing.assert_close(output[name][rows], expected, rtol=1e-12, atol=1e-12)


def test_the_future_reaches_only_the_backward_half(rnn, dialogues):
    features, observed, speaker, packing = dialogues
    changed = {"audio": features["audio"].clone(), "visual": features["visual"]}
    changed["audio"][6] += 1
    before, after = (rnn(f, observed, speaker, 3, packing)["audio"] for f in (features, changed))
    assert torch.equal(before[:6, :3], after[:6, :3])
    assert not torch.isclose(before[:6, 3:], after[:6, 3:]).all(dim=1).any()
    assert torch.equal(before[7:], after[7:])


def test_who_speaks_matters_and_how_speakers_are_numbered_does_not(rnn, dialogues):
    features, observed, speaker, packing = dialogues
    output = rnn(features, observed, speaker, 3, packing)["audio"]
    renumbered = rnn(features, observed, (speaker + 5) % 8, 8, packing)["audio"]
    torch.testing.assert_close(renumbered, output)
    alone = rnn(features, observed, torch.zeros_like(speaker), 3, packing)["audio"]
    assert not torch.allclose(alone, output)


def test_gradients_of_dialogue_rnn_are_exact(rnn, dialogues):
    features, observed, speaker, packing = dialogues
    audio = features["audio"].requires_grad_()

    def states(audio):
        output = rnn({"audio": audio, "visual": features["visual"]}, observed, speaker, 3, packing)
        return output["audio"], output["visual"]

    assert torch.autograd.gradcheck(states, audio, fast_mode=True)
