"""Training of one seed, and prediction."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import UserError
from pipeline.features.file import UNLABELLED
from pipeline.params import ModelParams
from pipeline.store.h5 import Arrays
from train.checkpoint import Checkpoints
from train.data import Dialogues
from train.determinism import deterministic
from train.metrics import compute_metrics
from train.networks import run_network
from train.trainer import Epoch, NotFiniteError, Trainer


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


class TrainingStoppedError(UserError):
    """Training ended before its last epoch."""

    def __init__(self, message: str, run: TrainingRun | None) -> None:
        super().__init__(message)
        self.run = run
        """What it gave before; None if that is not even one epoch."""


@dataclass(frozen=True)
class Predictions:
    """n utterances."""

    row: np.ndarray
    """int64 [n]: rows of the feature file."""
    probability: np.ndarray
    """float32 [n, classes]: Eq. 16."""

    @property
    def label(self) -> np.ndarray:
        """int64 [n]: Eq. 17."""
        return self.probability.argmax(axis=1)


def train_seed(
    dialogues: Dialogues,
    params: ModelParams,
    seed: int,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    checkpoint: Path | None = None,
    on_resume: Callable[[Sequence[Epoch]], None] = lambda epochs: None,
    on_refit: Callable[[Epoch], None] = lambda selected: None,
) -> TrainingRun:
    """Train on the device where the dialogues are, and keep the weights of the best epoch.

    Best is the highest weighted F1 on the validation split; among equals the lowest validation
    loss, then the earliest.  The test split has no say in it: only which epoch it would have chosen
    is noted.  ``on_epoch`` gets every epoch as it ends, ``on_refit`` the best one before training starts
    anew on train and dev, if ``params.refit`` says so.

    ``checkpoint`` names a file in which a run that is stopped leaves where it was; it must be that of
    these dialogues and params, this seed, code and device.  ``on_resume`` gets the epochs that an
    earlier run has done, if it has done any; they are not trained again.

    UserError if the training or the validation split has no labelled utterance; TrainingStoppedError if
    a loss or a weight is not finite.
    """
    train, dev, test = (dialogues.labelled(split) for split in ("train", "dev", "test"))
    if not train:
        raise UserError("the train split has no labelled utterance: there is nothing to train on")
    if not dev:
        raise UserError(
            "the dev split has no labelled utterance, and the epoch is chosen on it: "
            "give the corpus a labelled dev split"
        )
    if params.refit and not test:
        raise UserError(
            "refit: the test split has no labelled utterance, and dev would be trained on: nothing would be"
            " left to score the model on; leave refit out"
        )
    checkpoints = Checkpoints(checkpoint)
    state = checkpoints.load()
    run = _run_from_state(state["run"]) if state else None
    if run:
        on_resume(run.epochs)
    with deterministic(seed, dialogues.label.device):
        trainer = Trainer(dialogues, params, seed)
        if state and not state["refitted"]:
            trainer.restore(state["trainer"])
        for number in range(len(run.epochs) + 1 if run else 1, params.epochs + 1):
            if run and _has_waited(run, params.patience_epochs):
                break
            try:
                epoch = trainer.run_epoch(number, train, dev)
            except NotFiniteError as error:
                raise TrainingStoppedError(str(error), run) from None
            run = _with_epoch(run, epoch, trainer, [] if params.refit else test)
            state = {"run": _state_of_run(run), "trainer": trainer.state(), "refitted": 0}
            last = number == params.epochs or _has_waited(run, params.patience_epochs)
            checkpoints.save(state, last=last)
            on_epoch(epoch)
    assert run is not None  # params.epochs is at least 1
    if not params.refit:
        return run
    on_refit(run.selected)
    with deterministic(seed, dialogues.label.device):
        trainer = Trainer(dialogues, params, seed)
        refitted = state["refitted"] if state else 0
        if state and refitted:
            trainer.restore(state["trainer"])
        for number in range(refitted + 1, run.selected.epoch + 1):
            # The rates that the first training had, which may have followed its validation loss.
            trainer.dev_losses = [epoch.dev_loss for epoch in run.epochs[: number - 1]]
            try:
                trainer.fit_epoch([*train, *dev], f"seed {seed}, epoch {number} on train and dev")
            except NotFiniteError as error:
                raise TrainingStoppedError(str(error), run) from None
            state = {"run": _state_of_run(run), "trainer": trainer.state(), "refitted": number}
            checkpoints.save(state, last=number == run.selected.epoch)
    return replace(run, weights=trainer.weights())


def pack_run(run: TrainingRun) -> Arrays:
    """A finished run as an item of the store: its weights, and all else as JSON."""
    state = _state_of_run(run)
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
    return _run_from_state(state | {"weights": weights})


def predict(network: Any, dialogues: Dialogues, spans: Sequence[range], params: ModelParams) -> Predictions:
    """Class probabilities of every utterance of some dialogues, labelled or not, in the feature file's order.

    UserError if one is no number.
    """
    found = _predict(network, dialogues, spans, params)
    if not (finite := np.isfinite(found.probability).all(axis=1)).all():
        raise UserError(
            f"{(~finite).sum()} of {len(finite)} utterances, the first in row {int(found.row[~finite][0])} of"
            " the features, get probabilities that are no numbers: features or weights are too large for the"
            " network; standardise them (unscaled: []), or train the model again"
        )
    return found


def _predict(network: Any, dialogues: Dialogues, spans: Sequence[range], params: ModelParams) -> Predictions:
    """The same, whether they are numbers or not."""
    network.eval()
    rows: list[Tensor] = []
    probabilities: list[Tensor] = []
    with torch.inference_mode():
        for batch in dialogues.batches(spans, params.batch_dialogues):
            rows.append(batch.row.cpu())
            probabilities.append(run_network(network, batch, params.precision).logits.softmax(dim=-1).cpu())
    if not rows:
        return Predictions(np.empty(0, np.int64), np.empty((0, len(dialogues.label_names)), np.float32))
    row, order = torch.cat(rows).sort()
    return Predictions(row.numpy(), torch.cat(probabilities)[order].numpy())


def _with_epoch(
    run: TrainingRun | None, epoch: Epoch, trainer: Trainer, test: Sequence[range]
) -> TrainingRun:
    """The run after one more epoch, whose weights the trainer holds."""
    test_best = run.test_best if run else None
    if test:
        weighted_f1 = _weighted_f1(trainer, test)
        if weighted_f1 is not None and (test_best is None or weighted_f1 > test_best.weighted_f1):
            test_best = BestTestEpoch(epoch.epoch, weighted_f1)
    if run and not _is_better(epoch, run.selected):
        return TrainingRun(run.selected, run.weights, [*run.epochs, epoch], test_best)
    return TrainingRun(epoch, trainer.weights(), [*(run.epochs if run else []), epoch], test_best)


def _weighted_f1(trainer: Trainer, spans: Sequence[range]) -> float | None:
    """On the labelled utterances of the spans; None if a prediction is no number, as evaluation will tell."""
    dialogues = trainer.dialogues
    predictions = _predict(trainer.network, dialogues, spans, trainer.params)
    if not np.isfinite(predictions.probability).all():
        return None
    label = dialogues.label.cpu().numpy()[predictions.row]
    labelled = label != UNLABELLED
    return compute_metrics(label[labelled], predictions.label[labelled], dialogues.label_names).weighted_f1


def _is_better(epoch: Epoch, other: Epoch) -> bool:
    return (epoch.dev_weighted_f1, -epoch.dev_loss) > (other.dev_weighted_f1, -other.dev_loss)


def _has_waited(run: TrainingRun, patience_epochs: int | None) -> bool:
    """Whether so many epochs have gone by since the best one."""
    return patience_epochs is not None and len(run.epochs) - run.selected.epoch >= patience_epochs


def _state_of_run(run: TrainingRun) -> dict[str, Any]:
    """Plain values and tensors."""
    return {
        "selected": run.selected.epoch,
        "weights": run.weights,
        "epochs": [asdict(epoch) for epoch in run.epochs],
        "test_best": asdict(run.test_best) if run.test_best else None,
    }


def _run_from_state(state: dict[str, Any]) -> TrainingRun:
    epochs = [Epoch(**values) for values in state["epochs"]]
    test_best = BestTestEpoch(**state["test_best"]) if state["test_best"] else None
    return TrainingRun(epochs[state["selected"] - 1], state["weights"], epochs, test_best)
