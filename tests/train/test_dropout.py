"""Dropout on the CPU."""

from __future__ import annotations

import pytest
import torch

from train.dropout import Dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_rate_and_the_mean_are_right_and_elements_independent(rate):
    torch.manual_seed(0)
    dropped = Dropout(rate)(torch.ones(1001, 999))
    zero = (dropped == 0).float()
    assert zero.mean().item() == pytest.approx(rate, abs=0.002)
    assert dropped.mean().item() == pytest.approx(1, abs=0.01)
    assert dropped.unique().numel() == 2
    for lag in (1, 2, 3, 4):  # four elements share a draw
        flat = zero.flatten()
        both = (flat[lag:] * flat[:-lag]).mean().item()
        assert both == pytest.approx(rate**2, abs=0.003)


def test_gradients_pass_where_values_do():
    x = torch.ones(100, requires_grad=True)
    y = Dropout(0.3)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_nothing_is_dropped_in_evaluation_or_at_rate_zero():
    x = torch.randn(50)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
