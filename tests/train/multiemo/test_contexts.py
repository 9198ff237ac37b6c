"""What each modality's context is made of."""

from __future__ import annotations

import pytest
import torch

from tests.train.peers.test_recurrent import some_unobserved
from train.multiemo.contexts import Contexts
from train.networks.multiemo import ContextParams, Params


@pytest.fixture
def dialogues():
    return some_unobserved()


def small_params(kinds):
    return Params(context=kinds, hidden_size=6, heads=2, reduced_sizes={"audio": 3})


def test_context_none_is_zero_where_not_observed(dialogues):
    features, observed, speaker, packing = dialogues
    params = small_params(ContextParams(audio="none", visual="none"))
    contexts = Contexts({"audio": 5, "visual": 4}, params).double()
    output = contexts(features, observed, speaker, 3, packing)
    assert list(output) == ["audio", "visual"]
    seen = observed["audio"]
    assert not output["audio"][~seen].any()
    expected = contexts.fc["audio"](contexts.reduce["audio"](features["audio"][seen]))
    torch.testing.assert_close(output["audio"][seen], expected)


@pytest.mark.parametrize("name", ["text", "audio", "visual"])
def test_the_context_of_each_modality_can_be_chosen(dialogues, name):
    _, observed, speaker, packing = dialogues
    kinds = ContextParams(text="none", audio="none", visual="none").model_copy(update={name: "dialogue_rnn"})
    dims = {"text": 4, "audio": 5, "visual": 4}
    contexts = Contexts(dims, small_params(kinds)).double()
    features = {m: torch.randn(15, dim, dtype=torch.float64) for m, dim in dims.items()}
    seen = dict.fromkeys(dims, observed["audio"])
    before = contexts(features, seen, speaker, 3, packing)
    after = contexts(
        {m: f.index_fill(0, torch.tensor(0), 1.0) for m, f in features.items()}, seen, speaker, 3, packing
    )
    for m in dims:  # a change of the first utterance is felt by the others where there is a recurrence
        assert torch.equal(before[m][1:], after[m][1:]) == (m != name)
