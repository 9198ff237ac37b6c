"""The network and its objective as a whole against a plain transcription of the paper, in float64."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks.plain_multiemo import PaddedBatch, PlainMultiEmo, plain_loss
from pipeline.features.standardisation import fit_standardisation
from pipeline.params import MODALITIES
from tests.train.plain.multiemo import give_weights
from train.data import Dialogues
from train.multiemo.network import MultiEmo
from train.networks import merge
from train.networks.multiemo import RECIPES, Params

# Widths that a test has the time for; the recipes' own forms stay.
SMALL = {
    "hidden_size": 16, "mlp_size": 12, "feedforward_size": 24, "layers": 2, "heads": 2, "dropout": 0.0,
}  # fmt: skip


def small_of(recipe):
    """The network of a recipe in small."""
    network = merge({"reduced_sizes": {"audio": 8}}, RECIPES[recipe].get("network", {}))
    return merge(network, SMALL | {"reduced_sizes": dict.fromkeys(network["reduced_sizes"], 8)})


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
