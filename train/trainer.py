"""A network while it is trained: one epoch at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pipeline.errors import UserError
from pipeline.params import TrainParams
from train.data import IGNORED_LABEL, Batch, Dialogues
from train.losses import Losses, training_losses
from train.metrics import compute_metrics
from train.model import MultiEmo, Output
from train.optimiser import Adam


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


class LossNotFiniteError(UserError):
    """Training cannot go on."""


class Trainer:
    """A network and all that changes while it is trained; to be used inside ``deterministic``."""

    def __init__(self, dialogues: Dialogues, params: TrainParams, seed: int) -> None:
        self.dialogues = dialogues
        self.params = params
        self.seed = seed
        dims = {name: table.shape[1] for name, table in dialogues.features.items()}
        # Initialised on the CPU, so that every device starts from the same weights.
        network = MultiEmo(params, dims, len(dialogues.label_names))
        self.network = network.to(dialogues.label.device)
        self.optimiser = Adam(self.network.parameters(), params.learning_rate, params.adam_betas, params.l2)
        # Of its own, so that a change to the network does not change the order of dialogues.
        self.shuffle = torch.Generator().manual_seed(seed)

    def run_epoch(self, number: int, train: Sequence[range], dev: Sequence[range]) -> Epoch:
        """One pass over the training dialogues in a new random order, and one over the validation's."""
        where = f"seed {self.seed}, epoch {number}"
        decays = (number - 1) // self.params.decay_every_epochs
        self.optimiser.learning_rate = self.params.learning_rate * self.params.learning_rate_decay**decays
        order = torch.randperm(len(train), generator=self.shuffle).tolist()
        self.network.train()
        sums = np.zeros(len(Losses._fields))
        samples = 0
        batches = self.dialogues.batches([train[place] for place in order], self.params.batch_dialogues)
        for place, batch in enumerate(batches, start=1):
            values = _finite_values(self.step(batch), f"{where}, batch {place}")
            count = int((batch.label != IGNORED_LABEL).sum())
            sums += values * count
            samples += count
        dev_loss, dev_weighted_f1 = self.score(dev, f"{where}, validation")
        total, swfc, soft_hgr, cross_entropy = (sums / samples).tolist()
        return Epoch(self.seed, number, total, swfc, soft_hgr, cross_entropy, dev_loss, dev_weighted_f1)

    def step(self, batch: Batch) -> Losses:
        """Forward, backward, and one step of the optimiser."""
        self.optimiser.forget_gradients()  # first, so that they do not lie beside the new activations
        _, losses = self._run(batch)
        losses.total.backward()
        self.optimiser.step()
        return losses

    def score(self, spans: Sequence[range], where: str) -> tuple[float, float]:
        """Loss (mean over samples) and weighted F1 on the labelled utterances of the spans, dropout off."""
        self.network.eval()
        loss, labels, predictions = 0.0, [], []
        with torch.inference_mode():
            batches = self.dialogues.batches(spans, self.params.batch_dialogues)
            for place, batch in enumerate(batches, start=1):
                output, losses = self._run(batch)
                values = _finite_values(losses, f"{where} batch {place}")
                sample = batch.label != IGNORED_LABEL
                loss += float(values[0]) * int(sample.sum())
                labels.append(batch.label[sample].cpu())
                predictions.append(output.logits[sample].argmax(dim=-1).cpu())
        label, prediction = torch.cat(labels).numpy(), torch.cat(predictions).numpy()
        metrics = compute_metrics(label, prediction, self.dialogues.label_names)
        return loss / len(label), metrics.weighted_f1

    def state(self) -> dict[str, Any]:
        """All that the next epochs depend on, torch's random numbers included."""
        device = self.dialogues.label.device
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state(),
            "shuffle": self.shuffle.get_state(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where ``state`` was taken; its tensors are on the CPU."""
        self.network.load_state_dict(state["network"])
        self.optimiser.restore(state["optimiser"])
        self.shuffle.set_state(state["shuffle"])
        torch.set_rng_state(state["random"])
        if state["random_cuda"] is not None:
            torch.cuda.set_rng_state(state["random_cuda"], self.dialogues.label.device)

    def _run(self, batch: Batch) -> tuple[Output, Losses]:
        output = self.network(batch)
        losses = training_losses(output.logits, output.z, output.fused, batch.label, self.params.loss)
        return output, losses


def _finite_values(losses: Losses, where: str) -> np.ndarray:
    """float64 [4]: the losses as numbers; LossNotFiniteError naming the one that is not finite."""
    values = torch.stack(losses).detach().cpu().double().numpy()
    for name, value in zip(Losses._fields[1:], values[1:], strict=True):
        if not math.isfinite(value):
            raise LossNotFiniteError(
                f"training stopped at {where}: the {name} loss is {value}; "
                "try a lower train.learning_rate, or a higher train.loss.temperature if it is swfc"
            )
    return values
