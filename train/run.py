"""What training with one seed gives: in memory, in a checkpoint, and as an item of the store."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.store.h5 import Arrays
from train.trainer import Epoch


@dataclass(frozen=True)
class BestTestEpoch:
    """The epoch that the authors' rule picks by looking at the test split: to be reported, never used."""

    epoch: int
    """From 1."""
    weighted_f1: float
    """On the test split, from 0 to 1."""


@dataclass(frozen=True)
class TrainingRun:
    """What training with one seed has given so far; all of it when ``train_seed`` returns it."""

    selected: Epoch
    """The best epoch.  The weights are those after it, or after as many epochs on train and dev."""
    weights: dict[str, Tensor]
    """State dict, on the CPU."""
    epochs: list[Epoch]
    test_best: BestTestEpoch | None
    """None if the test split has no labelled utterance or none that can be predicted, or after training on
    train and dev."""


def pack_run(run: TrainingRun) -> Arrays:
    """A finished run as an item of the store: its weights, and all else as JSON."""
    state = state_of_run(run)
    weights = {f"weights/{name}": tensor.numpy() for name, tensor in state.pop("weights").items()}
    return {**weights, "run": np.array([json.dumps(state)])}


def unpack_run(item: Arrays) -> TrainingRun:
    """The run that ``pack_run`` made an item of."""
    state = json.loads(str(item["run"][0]))
    weights = {
        name.removeprefix("weights/"): torch.from_numpy(array)
        for name, array in item.items()
        if name.startswith("weights/")
    }
    return run_from_state(state | {"weights": weights})


def state_of_run(run: TrainingRun) -> dict[str, Any]:
    """Plain values and tensors."""
    return {
        "selected": run.selected.epoch,
        "weights": run.weights,
        "epochs": [asdict(epoch) for epoch in run.epochs],
        "test_best": asdict(run.test_best) if run.test_best else None,
    }


def run_from_state(state: dict[str, Any]) -> TrainingRun:
    """The run that ``state_of_run`` took apart."""
    epochs = [Epoch(**values) for values in state["epochs"]]
    test_best = BestTestEpoch(**state["test_best"]) if state["test_best"] else None
    return TrainingRun(epochs[state["selected"] - 1], state["weights"], epochs, test_best)
