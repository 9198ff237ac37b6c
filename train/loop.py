"""Training of one seed, and prediction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import UserError
from pipeline.features.content import SPLITS, UNLABELLED
from pipeline.params import ModelParams
from train.checkpoint import Checkpoints
from train.data import Dialogues
from train.determinism import deterministic
from train.metrics import compute_metrics
from train.networks import run_network
from train.run import BestTestEpoch, TrainingRun, run_from_state, state_of_run
from train.trainer import Epoch, NotFiniteError, Trainer


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


class Watcher:
    """Is told how a training goes, and does nothing about it."""

    def on_resume(self, epochs: Sequence[Epoch]) -> None:
        """These epochs an earlier run has done; they are not trained again."""

    def on_epoch(self, epoch: Epoch) -> None:
        """An epoch has ended; not called for those on train and dev, in which nothing is scored."""

    def on_refit(self, selected: Epoch) -> None:
        """Training starts anew on train and dev, for as many epochs as it took to the best one."""


NOBODY = Watcher()


def train_seed(
    dialogues: Dialogues,
    params: ModelParams,
    seed: int,
    watcher: Watcher = NOBODY,
    checkpoint: Path | None = None,
) -> TrainingRun:
    """Train on the device where the dialogues are, and keep the weights of the best epoch.

    Best is the highest weighted F1 on the validation split; among equals the lowest validation
    loss, then the earliest.  The test split has no say in it: only which epoch it would have chosen
    is noted.  If ``params.refit`` says so, the weights are those after as many epochs on train and dev.

    ``checkpoint`` names a file in which a run that is stopped leaves where it was; it must be that of
    these dialogues and params, this seed, code and device.

    UserError if the training or the validation split has no labelled utterance; TrainingStoppedError if
    a loss or a weight is not finite.
    """
    splits = _labelled_splits(dialogues, params.refit)
    checkpoints = Checkpoints(checkpoint)
    state = checkpoints.load()
    with deterministic(seed, dialogues.label.device):
        run = _choose_epoch(Trainer(dialogues, params, seed), splits, state, checkpoints, watcher)
    if not params.refit:
        return run
    watcher.on_refit(run.selected)
    with deterministic(seed, dialogues.label.device):
        return replace(run, weights=_refit(Trainer(dialogues, params, seed), splits, run, state, checkpoints))


class _Splits(NamedTuple):
    """Dialogues with labelled utterances."""

    train: list[range]
    dev: list[range]
    test: list[range]


def _labelled_splits(dialogues: Dialogues, refit: bool) -> _Splits:
    splits = _Splits(*(dialogues.labelled(split) for split in SPLITS))
    if not splits.train:
        raise UserError("the train split has no labelled utterance: there is nothing to train on")
    if not splits.dev:
        raise UserError(
            "the dev split has no labelled utterance, and the epoch is chosen on it: "
            "give the corpus a labelled dev split"
        )
    if refit and not splits.test:
        raise UserError(
            "refit: the test split has no labelled utterance, and dev would be trained on: nothing would be"
            " left to score the model on; leave refit out"
        )
    return splits


def _choose_epoch(
    trainer: Trainer,
    splits: _Splits,
    state: dict[str, Any] | None,
    checkpoints: Checkpoints,
    watcher: Watcher,
) -> TrainingRun:
    """Train on train until all epochs are done, or patience is over.  ``state`` is that of an earlier run."""
    params, run = trainer.params, None
    if state:
        run = run_from_state(state["run"])
        watcher.on_resume(run.epochs)
        if not state["refitted"]:
            trainer.restore(state["trainer"])
    while run is None or not _is_over(run, params):
        with _stopped_after(run):
            epoch = trainer.run_epoch(len(run.epochs) + 1 if run else 1, splits.train, splits.dev)
        run = _with_epoch(run, epoch, trainer, [] if params.refit else splits.test)
        checkpoints.save(_state(run, trainer, refitted=0), last=_is_over(run, params))
        watcher.on_epoch(epoch)
    return run


def _refit(
    trainer: Trainer,
    splits: _Splits,
    run: TrainingRun,
    state: dict[str, Any] | None,
    checkpoints: Checkpoints,
) -> dict[str, Tensor]:
    """Weights after training on train and dev for as many epochs as the best one of the run took."""
    refitted = state["refitted"] if state else 0
    if state and refitted:
        trainer.restore(state["trainer"])
    for number in range(refitted + 1, run.selected.epoch + 1):
        # The rates that the first training had, which may have followed its validation loss.
        trainer.dev_losses = [epoch.dev_loss for epoch in run.epochs[: number - 1]]
        with _stopped_after(run):
            where = f"seed {trainer.seed}, epoch {number} on train and dev"
            trainer.fit_epoch([*splits.train, *splits.dev], where)
        checkpoints.save(_state(run, trainer, refitted=number), last=number == run.selected.epoch)
    return trainer.weights()


@contextmanager
def _stopped_after(run: TrainingRun | None) -> Iterator[None]:
    """What is not finite ends training after this run."""
    try:
        yield
    except NotFiniteError as error:
        raise TrainingStoppedError(str(error), run) from None


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


def _is_over(run: TrainingRun, params: ModelParams) -> bool:
    """Whether all epochs are done, or too many have gone by since the best one."""
    done, patience = len(run.epochs), params.patience_epochs
    return done >= params.epochs or (patience is not None and done - run.selected.epoch >= patience)


def _state(run: TrainingRun, trainer: Trainer, refitted: int) -> dict[str, Any]:
    """What a checkpoint holds; ``refitted`` counts the epochs on train and dev."""
    return {"run": state_of_run(run), "trainer": trainer.state(), "refitted": refitted}
