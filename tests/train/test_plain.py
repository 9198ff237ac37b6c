"""The network and its objective as a whole against a plain transcription of the paper, in float64."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks.plain_multiemo import PaddedBatch, PlainMultiEmo, plain_loss
from pipeline.params import MODALITIES
from train.data import Dialogues, fit_standardisation
from train.multiemo import MultiEmo
from train.networks import merge
from train.networks.multiemo import RECIPES, Params

# Widths that a test has the time for; the recipes' own forms stay.
SMALL = {
    "hidden_size": 16, "mlp_size": 12, "feedforward_size": 24, "layers": 2, "heads": 2, "dropout": 0.0,
}  # fmt: skip


def give_weights(plain, network):
    """Make the plain network the same function."""
    contexts, rnn = network.contexts, network.contexts.rnn
    for mine, theirs in ((plain.reduce, contexts.reduce), (plain.context, contexts.fc)):
        for name in theirs:
            mine[name].load_state_dict(theirs[name].state_dict())
    for modality, name in enumerate(rnn.utterance):
        target = plain.context[name]
        if name in contexts.project:
            target.project.load_state_dict(contexts.project[name].state_dict())
        for direction, cell in enumerate(target.cells):
            reader, gates = rnn.directions * modality + direction, 3 * rnn.state_size
            weights = rnn.utterance[name][:, direction]
            give_gru(cell.global_gru, rnn.global_gru, reader, weights[:, :gates])
            give_gru(cell.party_gru, rnn.party_gru, reader, weights[:, gates : 2 * gates])
            give_gru(cell.emotion_gru, rnn.emotion_gru, reader, weights[:0, :gates])
            cell.attention.weight.copy_(weights[:, 2 * gates :] if rnn.query is None else rnn.query[reader])
    for layers, name in zip(plain.fusion, MODALITIES, strict=True):
        for target, layer in zip(layers, network.fusion.layers[name], strict=True):
            for stage, attend in zip((target.first, target.second), layer.attend.values(), strict=True):
                for kind in ("query", "key", "value"):
                    for parameter, value in getattr(attend, kind).named_parameters():
                        for head, part in zip(stage.heads, value.chunk(len(stage.heads)), strict=True):
                            getattr(getattr(head, kind), parameter).copy_(part)
                stage.output.load_state_dict(attend.output.state_dict())
                stage.norm.load_state_dict(attend.norm.state_dict())
            target.ffn[0].load_state_dict(layer.feed_forward.inner.state_dict())
            target.ffn[2].load_state_dict(layer.feed_forward.outer.state_dict())
            target.norm.load_state_dict(layer.feed_forward.norm.state_dict())
    for name in ("fc_z", "fc_l", "fc_p"):
        getattr(plain, name).load_state_dict(getattr(network, name).state_dict())


def small_of(recipe):
    """The network of a recipe in small."""
    network = merge({"reduced_sizes": {"audio": 8}}, RECIPES[recipe].get("network", {}))
    return merge(network, SMALL | {"reduced_sizes": dict.fromkeys(network["reduced_sizes"], 8)})


def give_gru(cell, gru, reader, of_utterance):
    cell.weight_ih.copy_(torch.cat([of_utterance, gru.weight_input[reader]]).T)
    cell.weight_hh.copy_(gru.weight_state[reader].T)
    cell.bias_ih.copy_(gru.bias_input[reader, 0])
    cell.bias_hh.copy_(gru.bias_state[reader, 0])


@pytest.mark.parametrize("recipe", RECIPES)
def test_losses_and_gradients_are_those_of_the_plain_transcription(make_features, recipe):
    features = make_features()
    dialogues = Dialogues.from_features(features, fit_standardisation(features, MODALITIES))
    dialogues = replace(  # the plain one knows nothing of unobserved modalities
        dialogues,
        features={name: table.double() for name, table in dialogues.features.items()},
        observed={name: torch.ones_like(seen) for name, seen in dialogues.observed.items()},
    )
    dims = {name: table.shape[1] for name, table in dialogues.features.items()}
    params = Params.model_validate(small_of(recipe))
    counts = dialogues.class_counts
    torch.manual_seed(0)
    network = MultiEmo(params, dims, counts).double()
    plain = PlainMultiEmo(params, dims, 3).double()
    with torch.no_grad():
        give_weights(plain, network)

    spans = dialogues.spans["train"]
    batch, padded = dialogues.batch(spans), PaddedBatch(dialogues, spans)
    padded.parties = padded.parties.double()
    output = network(batch)
    loss = network.losses(output, batch.label)["total"]
    expected = plain_loss(*plain(padded), padded.label, params.loss, counts)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-10)

    loss.backward()
    expected.backward()
    for mine, theirs in (
        (network.contexts.reduce, plain.reduce),
        (network.contexts.fc, plain.context),
        (network.contexts.project, plain.context),
    ):  # what the gradient of all the rest goes through
        for name in mine:
            parameter, reference = mine[name], getattr(theirs[name], "project", theirs[name])
            torch.testing.assert_close(parameter.weight.grad, reference.weight.grad, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(network.fc_z.weight.grad, plain.fc_z.weight.grad, rtol=1e-8, atol=1e-12)
