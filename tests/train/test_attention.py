"""Attention maps against what the network computes with them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pipeline.errors import UserError
from pipeline.features.standardisation import fit_standardisation
from tests.train import small
from train.attention import attention_maps
from train.data import Dialogues
from train.multiemo.fusion import Keys
from train.networks import build_network

DIMS = {"text": 12, "audio": 20, "visual": 16}


@pytest.fixture
def dialogues(make_features):
    features = make_features()
    return Dialogues.from_features(features, fit_standardisation(features, list(DIMS)))


def network_of(params, **changes):
    torch.manual_seed(0)
    params = small.changed(params, **changes)
    return build_network(params.network, {name: DIMS[name] for name in params.modalities}, [1, 1, 1]).eval()


def test_every_component_and_layer_has_a_map_whose_rows_add_up_to_one(small_params, dialogues):
    span = max(dialogues.spans["test"], key=len)
    maps = attention_maps(network_of(small_params), dialogues, span)
    assert list(maps) == [
        ("text", "audio"), ("text", "visual"), ("audio", "text"), ("audio", "visual"), ("visual", "text"),
        ("visual", "audio"),
    ]  # fmt: skip
    for (_, key), weights in maps.items():
        assert weights.shape == (2, 2, len(span), len(span))
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, len(span)))
        assert not weights[..., ~dialogues.observed[key][span.start : span.stop]].any()


def test_the_maps_are_those_of_the_forward_pass(small_params, dialogues):
    network = network_of(small_params, layers=1)
    span = max(dialogues.spans["train"], key=len)
    maps = attention_maps(network, dialogues, span)
    batch = dialogues.batch([span])
    with torch.no_grad():
        contexts = network.context_vectors(batch)
        for name, (layer,) in network.fusion.layers.items():
            query = contexts[name]
            for other, attend in layer.attend.items():
                value = attend.value(contexts[other]).unflatten(-1, (2, -1)).transpose(0, 1)
                heads = maps[name, other][0] @ value
                query = attend.norm(query + attend.output(heads.transpose(0, 1).flatten(1)))
            fused = layer.feed_forward(query)
            torch.testing.assert_close(fused, network(batch).fused[name], rtol=1e-5, atol=1e-5)


def test_a_modality_that_nobody_observed_is_not_attended_to(small_params, dialogues):
    blind = replace(dialogues, observed=dialogues.observed | {"audio": torch.zeros_like(dialogues.label) > 0})
    maps = attention_maps(network_of(small_params), blind, blind.spans["test"][0])
    assert not maps["text", "audio"].any()
    assert maps["text", "visual"].any()


@pytest.mark.parametrize("changes", [{"fusion": "concat"}, {"modalities": ("text",)}])
def test_a_network_without_cross_attention_is_refused(small_params, dialogues, changes):
    with pytest.raises(UserError, match="no cross-attention to show"):
        attention_maps(network_of(small_params, **changes), dialogues, dialogues.spans["test"][0])


def test_keys_of_a_dialogue_without_any_are_zero_and_all_allowed(dialogues):
    batch = dialogues.batch(dialogues.spans["test"])
    nothing = torch.zeros_like(batch.label, dtype=torch.bool)
    lanes = batch.packing.to_lanes(torch.ones(len(nothing), 4)).flatten(0, 1)
    keys = Keys.of(lanes, nothing, batch.packing)
    assert torch.equal(keys.mask.squeeze(1) == 0, batch.packing.together)
    assert not keys.any.any()
