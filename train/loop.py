"""Training of one seed, and prediction."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.errors import UserError
from pipeline.params import TrainParams
from train.data import IGNORED_LABEL, Dialogues
from train.losses import Losses, training_losses
from train.metrics import compute_metrics
from train.model import MultiEmo


@dataclass(frozen=True)
class Epoch:
    """One line of the curves.  Losses are means over samples; F1 is a fraction from 0 to 1."""

    seed: int
    epoch: int
    """From 1."""
    train_loss: float
    """The mixture of the next three (Eq. 22 without its L2 term), dropout on."""
    train_swfc: float
    train_soft_hgr: float
    train_cross_entropy: float
    dev_loss: float
    """The same mixture on the validation split, dropout off."""
    dev_weighted_f1: float


@dataclass(frozen=True)
class TrainingRun:
    """What training with one seed gives."""

    selected: Epoch
    """The epoch that the weights are of."""
    weights: dict[str, Tensor]
    """State dict, on the CPU."""
    epochs: list[Epoch]


@dataclass(frozen=True)
class Predictions:
    """n utterances in the feature file's order."""

    row: np.ndarray
    """int64 [n]: rows of the feature file."""
    probability: np.ndarray
    """float32 [n, classes]: Eq. 16."""

    @property
    def label(self) -> np.ndarray:
        """int64 [n]: Eq. 17."""
        return self.probability.argmax(axis=1)


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Same seed, machine and library versions: same bits.  Leaves torch's global state as it was."""
    # cuBLAS reads this when its first handle is made; without it some products differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(enabled, warn_only=warn_only)


def train_seed(
    dialogues: Dialogues,
    params: TrainParams,
    seed: int,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> TrainingRun:
    """Train on the device where the dialogues are, and keep the weights of the best epoch.

    Best is the highest weighted F1 on the validation split; among equals the lowest validation
    loss, then the earliest.  The test split is never read.  UserError if the training or the
    validation split has no labelled utterance, or if a loss is not finite.
    """
    train, dev = dialogues.labelled("train"), dialogues.labelled("dev")
    if not train:
        raise UserError("the train split has no labelled utterance: there is nothing to train on")
    if not dev:
        raise UserError(
            "the dev split has no labelled utterance, and the epoch is chosen on it: "
            "give the corpus a labelled dev split"
        )
    with deterministic(seed):
        dims = {name: table.shape[1] for name, table in dialogues.features.items()}
        # Initialised on the CPU, so that every device starts from the same weights.
        network = MultiEmo(params, dims, len(dialogues.label_names)).to(dialogues.label.device)
        optimiser = torch.optim.Adam(
            network.parameters(),
            lr=params.learning_rate,
            betas=params.adam_betas,
            weight_decay=2 * params.l2,  # the gradient of lambda ||theta||^2 (Eq. 22) is 2 lambda theta
        )
        schedule = torch.optim.lr_scheduler.StepLR(
            optimiser, step_size=params.decay_every_epochs, gamma=params.learning_rate_decay
        )
        # Of its own, so that a change to the network does not change the order of dialogues.
        shuffle = torch.Generator().manual_seed(seed)
        epochs: list[Epoch] = []
        best: tuple[float, float] | None = None
        for number in range(1, params.epochs + 1):
            where = f"seed {seed}, epoch {number}"
            order = torch.randperm(len(train), generator=shuffle).tolist()
            spans = [train[place] for place in order]
            total, swfc, soft_hgr, cross_entropy = _train_epoch(
                network, optimiser, dialogues, spans, params, where
            )
            schedule.step()
            dev_loss, dev_weighted_f1 = _validate(network, dialogues, dev, params, where)
            epoch = Epoch(seed, number, total, swfc, soft_hgr, cross_entropy, dev_loss, dev_weighted_f1)
            epochs.append(epoch)
            score = (dev_weighted_f1, -dev_loss)
            if best is None or score > best:
                best, selected = score, epoch
                weights = {name: tensor.cpu().clone() for name, tensor in network.state_dict().items()}
            on_epoch(epoch)
    return TrainingRun(selected, weights, epochs)


def predict(
    network: nn.Module, dialogues: Dialogues, spans: Sequence[range], batch_dialogues: int
) -> Predictions:
    """Class probabilities of every utterance of some dialogues, labelled or not."""
    network.eval()
    rows: list[Tensor] = []
    probabilities: list[Tensor] = []
    with torch.inference_mode():
        for batch in dialogues.batches(spans, batch_dialogues):
            rows.append(batch.row.cpu())
            probabilities.append(network(batch).logits.softmax(dim=-1).cpu())
    if not rows:
        return Predictions(np.empty(0, np.int64), np.empty((0, len(dialogues.label_names)), np.float32))
    row, order = torch.cat(rows).sort()
    return Predictions(row.numpy(), torch.cat(probabilities)[order].numpy())


def _train_epoch(
    network: MultiEmo,
    optimiser: torch.optim.Optimizer,
    dialogues: Dialogues,
    spans: Sequence[range],
    params: TrainParams,
    where: str,
) -> list[float]:
    """One pass over the spans in their order; the losses, in the order of Losses, as means over samples."""
    network.train()
    sums = np.zeros(len(Losses._fields))
    samples = 0
    for number, batch in enumerate(dialogues.batches(spans, params.batch_dialogues), start=1):
        output = network(batch)
        losses = training_losses(output.logits, output.z, output.fused, batch.label, params.loss)
        values = _finite_values(losses, f"{where}, batch {number}")
        optimiser.zero_grad()
        losses.total.backward()
        optimiser.step()
        count = int((batch.label != IGNORED_LABEL).sum())
        sums += values * count
        samples += count
    return (sums / samples).tolist()


def _validate(
    network: MultiEmo, dialogues: Dialogues, spans: Sequence[range], params: TrainParams, where: str
) -> tuple[float, float]:
    """Loss (mean over samples) and weighted F1 on the labelled utterances of the spans."""
    network.eval()
    loss, labels, predictions = 0.0, [], []
    with torch.inference_mode():
        for number, batch in enumerate(dialogues.batches(spans, params.batch_dialogues), start=1):
            output = network(batch)
            losses = training_losses(output.logits, output.z, output.fused, batch.label, params.loss)
            values = _finite_values(losses, f"{where}, validation batch {number}")
            sample = batch.label != IGNORED_LABEL
            loss += float(values[0]) * int(sample.sum())
            labels.append(batch.label[sample].cpu())
            predictions.append(output.logits[sample].argmax(dim=-1).cpu())
    label, prediction = torch.cat(labels).numpy(), torch.cat(predictions).numpy()
    return loss / len(label), compute_metrics(label, prediction, dialogues.label_names).weighted_f1


def _finite_values(losses: Losses, where: str) -> np.ndarray:
    """float64 [4]: the losses as numbers; UserError naming the one that is not finite."""
    values = torch.stack(losses).detach().cpu().double().numpy()
    for name, value in zip(Losses._fields[1:], values[1:], strict=True):
        if not math.isfinite(value):
            raise UserError(
                f"training stopped at {where}: the {name} loss is {value}; "
                "try a lower train.learning_rate, or a higher train.loss.temperature if it is swfc"
            )
    return values
