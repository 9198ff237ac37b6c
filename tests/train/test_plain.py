"""The network and its objective as a whole against a plain transcription of the paper, in float64."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks.plain_multiemo import PaddedBatch, PlainMultiEmo, plain_loss
from pipeline.params import MODALITIES
from tests.train.small import network_params
from train.data import Dialogues, fit_standardisation
from train.multiemo import MultiEmo


def give_weights(plain, network):
    """Make the plain network the same function."""
    contexts, rnn = network.contexts, network.contexts.rnn
    plain.text.load_state_dict(contexts.fc["text"].state_dict())
    plain.audio.load_state_dict(contexts.reduce["audio"].state_dict())
    for modality, (name, target) in enumerate((("audio", plain.audio_rnn), ("visual", plain.visual_rnn))):
        for direction, cell in enumerate(target.cells):
            reader, gates = 2 * modality + direction, 3 * rnn.state_size
            for_global, for_party, query = rnn.utterance[name][:, direction].split(
                [gates, gates, rnn.state_size], dim=1
            )
            give_gru(cell.global_gru, rnn.global_gru, reader, for_global)
            give_gru(cell.party_gru, rnn.party_gru, reader, for_party)
            give_gru(cell.emotion_gru, rnn.emotion_gru, reader, for_global[:0])
            cell.attention.weight.copy_(query)
    for layers, name in zip(plain.fusion, MODALITIES, strict=True):
        for target, layer in zip(layers, network.fusion.layers[name], strict=True):
            for stage, attend in zip((target.first, target.second), layer.attend.values(), strict=True):
                for kind in ("query", "key", "value"):
                    per_head = getattr(attend, kind).weight.chunk(len(stage.heads))
                    for head, weight in zip(stage.heads, per_head, strict=True):
                        getattr(head, kind).weight.copy_(weight)
                stage.output.load_state_dict(attend.output.state_dict())
                stage.norm.load_state_dict(attend.norm.state_dict())
            target.ffn[0].load_state_dict(layer.feed_forward.inner.state_dict())
            target.ffn[2].load_state_dict(layer.feed_forward.outer.state_dict())
            target.norm.load_state_dict(layer.feed_forward.norm.state_dict())
    for name in ("fc_z", "fc_l", "fc_p"):
        getattr(plain, name).load_state_dict(getattr(network, name).state_dict())


def give_gru(cell, gru, reader, of_utterance):
    cell.weight_ih.copy_(torch.cat([of_utterance, gru.weight_input[reader]]).T)
    cell.weight_hh.copy_(gru.weight_state[reader].T)
    cell.bias_ih.copy_(gru.bias_input[reader, 0])
    cell.bias_hh.copy_(gru.bias_state[reader, 0])


def test_losses_and_gradients_are_those_of_the_plain_transcription(make_features, small_params):
    features = make_features()
    dialogues = Dialogues.from_features(features, fit_standardisation(features, MODALITIES))
    dialogues = replace(  # the plain one knows nothing of unobserved modalities
        dialogues,
        features={name: table.double() for name, table in dialogues.features.items()},
        observed={name: torch.ones_like(seen) for name, seen in dialogues.observed.items()},
    )
    dims = {name: table.shape[1] for name, table in dialogues.features.items()}
    params = network_params(small_params)
    torch.manual_seed(0)
    network = MultiEmo(params, dims, 3).double()
    plain = PlainMultiEmo(params, dims, 3).double()
    with torch.no_grad():
        give_weights(plain, network)

    spans = dialogues.spans["train"]
    batch, padded = dialogues.batch(spans), PaddedBatch(dialogues, spans)
    padded.parties = padded.parties.double()
    output = network(batch)
    loss = network.losses(output, batch.label)["total"]
    expected = plain_loss(*plain(padded), padded.label, params.loss)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-10)

    loss.backward()
    expected.backward()
    for parameter, reference in (
        (network.contexts.reduce["audio"].weight, plain.audio.weight),
        (network.contexts.fc["text"].weight, plain.text.weight),
        (network.fc_z.weight, plain.fc_z.weight),
    ):  # what the gradient of all the rest goes through
        torch.testing.assert_close(parameter.grad, reference.grad, rtol=1e-8, atol=1e-12)
