"""Class weights and inputs of networks of other papers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from pipeline.features.content import UNLABELLED
from train.peers.network import Inputs, WeightedCrossEntropy

LABEL = torch.tensor([0, 1, 2, 1, UNLABELLED])
LOGITS = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))


def test_classes_weigh_as_scikit_learn_balances_them():
    counts = (50, 30, 20)
    training = torch.arange(3).repeat_interleave(torch.tensor(counts)).numpy()
    weight = compute_class_weight("balanced", classes=np.arange(3), y=training)
    expected = torch.nn.functional.cross_entropy(
        LOGITS[:4], LABEL[:4], torch.tensor(weight, dtype=torch.float32)
    )
    assert WeightedCrossEntropy(counts, 1.0)(LOGITS, LABEL).item() == pytest.approx(expected.item())


def test_without_an_exponent_it_is_cross_entropy():
    expected = torch.nn.functional.cross_entropy(LOGITS[:4], LABEL[:4])
    assert WeightedCrossEntropy((50, 30, 20), 0.0)(LOGITS, LABEL).item() == pytest.approx(expected.item())


def test_a_class_that_training_lacks_may_be_all_that_validation_has():
    assert WeightedCrossEntropy((50, 30, 0), 1.0)(LOGITS, torch.full((5,), 2)).isfinite()


def test_only_wide_modalities_that_there_are_get_a_layer_and_only_observed_utterances_a_vector():
    inputs = Inputs({"visual": 2, "text": 3}, {"audio": 4, "visual": 1})
    assert list(inputs.reduce) == ["visual"]
    features = {"text": torch.ones(2, 3), "visual": torch.ones(2, 2)}
    observed = {"text": torch.tensor([True, True]), "visual": torch.tensor([True, False])}
    u = inputs.concatenate(SimpleNamespace(features=features, observed=observed))
    assert u.shape == (2, inputs.size) == (2, 4)
    torch.testing.assert_close(u[0, 3:], inputs.reduce["visual"](torch.ones(2)))
    assert u[1].tolist() == [1, 1, 1, 0]
