"""The learning rate, epoch by epoch, and a step's gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.params import ModelParams
from tests.train.small import changed, dialogues_of
from train.trainer import Trainer, learning_rate

LOSSES = [1.0, 0.9, 0.95, 0.9, 0.9 - 1e-8, 0.91, 0.92, 0.8, 0.81, 0.82, 0.83, 0.84, 0.85, 0.86]


def params(**changes) -> ModelParams:
    return ModelParams(features="x", learning_rate=0.01, learning_rate_decay=0.5, **changes)


def test_the_rate_falls_after_every_so_many_epochs():
    rates = [learning_rate(params(decay_every_epochs=3), LOSSES[:done]) for done in range(8)]
    assert rates == [0.01] * 3 + [0.005] * 3 + [0.0025] * 2


@pytest.mark.parametrize("patience", [1, 2, 10])
def test_on_a_plateau_the_rate_falls_as_torchs_scheduler_lets_it(patience):
    optimiser = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, factor=0.5, patience=patience, threshold=1e-6
    )
    expected = []
    for loss in LOSSES:
        scheduler.step(loss)
        expected.append(optimiser.param_groups[0]["lr"])
    plateau = params(schedule="plateau", decay_every_epochs=patience)
    found = [learning_rate(plateau, LOSSES[: done + 1]) for done in range(len(LOSSES))]
    np.testing.assert_allclose(found, expected)


def gradient_norm(features, params):
    """Of all weights, after a step."""
    dialogues = dialogues_of(features, params)
    trainer = Trainer(dialogues, params, seed=0)
    trainer.step(dialogues.batch(dialogues.spans["train"]))
    return torch.cat([weight.grad.flatten() for weight in trainer.network.parameters()]).norm().item()


def test_a_gradient_is_clipped_to_a_norm_if_it_is_larger(make_features, small_params):
    features = make_features()
    torch.manual_seed(0)
    free = gradient_norm(features, small_params)
    torch.manual_seed(0)
    assert gradient_norm(features, changed(small_params, gradient_clip=free / 2)) == pytest.approx(free / 2)
    torch.manual_seed(0)
    assert gradient_norm(features, changed(small_params, gradient_clip=2 * free)) == free
