"""A network while it is trained: one epoch at a time."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from pipeline.errors import UserError
from pipeline.features.content import UNLABELLED
from pipeline.params import ModelParams
from train.data import Batch, Dialogues, drop_modalities
from train.metrics import compute_metrics
from train.networks import build_network, run_network
from train.optimiser import Adam


@dataclass(frozen=True)
class Epoch:
    """One line of the curves.  F1 is a fraction from 0 to 1.

    Losses are means over batches, each with the weight of its labelled utterances.  So they are means over
    these, but where a network's loss is no such mean: class weights and contrasts make it depend on which
    utterances share a batch.
    """

    seed: int
    epoch: int
    """From 1."""
    train_loss: float
    """What is minimised, without L2, dropout on."""
    train_terms: dict[str, float]
    """What the network adds it up from, by name."""
    dev_loss: float
    """The same loss on the validation split, dropout off."""
    dev_weighted_f1: float


class NotFiniteError(UserError):
    """Training cannot go on: a loss or a weight is not finite."""


class Trainer:
    """A network and all that changes while it is trained; to be used inside ``deterministic``."""

    def __init__(self, dialogues: Dialogues, params: ModelParams, seed: int) -> None:
        self.dialogues = dialogues
        self.params = params
        self.seed = seed
        dims = {name: table.shape[1] for name, table in dialogues.features.items()}
        # Initialised on the CPU, so that every device starts from the same weights.
        network = build_network(params.network, dims, dialogues.class_counts)
        self.network = network.to(dialogues.label.device)
        self.optimiser = Adam(self.network.parameters(), params.learning_rate, params.adam_betas, params.l2)
        # Of its own, so that a change to the network does not change the order of dialogues.
        self.shuffle = torch.Generator().manual_seed(seed)
        self.dev_losses: list[float] = []
        """Of the epochs so far."""

    def run_epoch(self, number: int, train: Sequence[range], dev: Sequence[range]) -> Epoch:
        """One pass over the training dialogues in a new random order, and one over the validation's."""
        where = f"seed {self.seed}, epoch {number}"
        means = self.fit_epoch(train, where)
        dev_loss, dev_weighted_f1 = self.score(dev, f"{where}, validation")
        self.dev_losses.append(dev_loss)
        return Epoch(self.seed, number, means.pop("total"), means, dev_loss, dev_weighted_f1)

    def fit_epoch(self, train: Sequence[range], where: str) -> dict[str, float]:
        """One pass over some dialogues in a new random order; mean over samples of each loss.

        NotFiniteError if one is not finite, or a weight after it.
        """
        self.optimiser.learning_rate = learning_rate(self.params, self.dev_losses)
        order = torch.randperm(len(train), generator=self.shuffle).tolist()
        self.network.train()
        sums: defaultdict[str, float] = defaultdict(float)
        samples = 0
        batches = self.dialogues.batches([train[place] for place in order], self.params.batch_dialogues)
        for place, batch in enumerate(batches, start=1):
            values = _finite_values(self.step(batch), f"{where}, batch {place}")
            count = int((batch.label != UNLABELLED).sum())
            for name, value in values.items():
                sums[name] += value * count
            samples += count
        self._check_weights(where)
        return {name: value / samples for name, value in sums.items()}

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Forward, backward, and one step of the optimiser."""
        self.optimiser.forget_gradients()  # first, so that they do not lie beside the new activations
        if self.params.modality_dropout:
            batch = drop_modalities(batch, self.params.modality_dropout)
        _, losses = self._run(batch)
        losses["total"].backward()
        if self.params.gradient_clip is not None:
            clip_grad_norm_(self.network.parameters(), self.params.gradient_clip)
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
                sample = batch.label != UNLABELLED
                loss += values["total"] * int(sample.sum())
                labels.append(batch.label[sample].cpu())
                predictions.append(output.logits[sample].argmax(dim=-1).cpu())
        label, prediction = torch.cat(labels).numpy(), torch.cat(predictions).numpy()
        metrics = compute_metrics(label, prediction, self.dialogues.label_names)
        return loss / len(label), metrics.weighted_f1

    def weights(self) -> dict[str, Tensor]:
        """The network's state dict on the CPU: a copy, because training goes on to change its own."""
        return {name: tensor.cpu().clone() for name, tensor in self.network.state_dict().items()}

    def state(self) -> dict[str, Any]:
        """All that the next epochs depend on, torch's random numbers included."""
        device = self.dialogues.label.device
        return {
            "network": self.network.state_dict(),
            "buffers": dict(self.network.named_buffers()),  # also those that are no part of the weights
            "optimiser": self.optimiser.state(),
            "shuffle": self.shuffle.get_state(),
            "dev_losses": list(self.dev_losses),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to where ``state`` was taken; its tensors are on the CPU."""
        self.network.load_state_dict(state["network"])
        for name, buffer in self.network.named_buffers():
            buffer.copy_(state["buffers"][name])
        self.optimiser.restore(state["optimiser"])
        self.shuffle.set_state(state["shuffle"])
        self.dev_losses = list(state["dev_losses"])
        torch.set_rng_state(state["random"])
        if state["random_cuda"] is not None:
            torch.cuda.set_rng_state(state["random_cuda"], self.dialogues.label.device)

    def _check_weights(self, where: str) -> None:
        """What the last step made of them has been in no loss yet, and may be in none to come."""
        for name, tensor in self.network.state_dict().items():
            if not tensor.isfinite().all():
                raise NotFiniteError(
                    f"training stopped at {where}: {name} is no longer finite; try a lower learning_rate"
                )

    def _run(self, batch: Batch) -> tuple[Any, dict[str, Tensor]]:
        output = run_network(self.network, batch, self.params.precision)
        return output, self.network.losses(output, batch.label)


def learning_rate(params: ModelParams, dev_losses: Sequence[float]) -> float:
    """Rate of the next epoch after epochs of these validation losses.

    On a plateau it falls as with ``torch.optim.lr_scheduler.ReduceLROnPlateau`` and the threshold of
    MultiEMO's authors: a loss is lower if it is by a millionth (torch's default: by a ten-thousandth).
    """
    if params.schedule == "step":
        falls = len(dev_losses) // params.decay_every_epochs
    else:
        falls, waited, lowest = 0, 0, math.inf
        for loss in dev_losses:
            if loss < lowest * (1 - 1e-6):
                lowest, waited = loss, 0
            else:
                waited += 1
            if waited > params.decay_every_epochs:
                falls, waited = falls + 1, 0
    return params.learning_rate * params.learning_rate_decay**falls


def _finite_values(losses: Mapping[str, Tensor], where: str) -> dict[str, float]:
    """The losses as numbers; NotFiniteError naming the one that is not finite."""
    values = torch.stack(list(losses.values())).detach().cpu().double().tolist()
    by_name = dict(zip(losses, values, strict=True))
    for name, value in sorted(by_name.items(), key=lambda pair: pair[0] == "total"):
        if not math.isfinite(value):
            raise NotFiniteError(
                f"training stopped at {where}: the {name} loss is {value}; "
                "try a lower learning_rate, or a higher network.loss.temperature if it is swfc"
            )
    return by_name
