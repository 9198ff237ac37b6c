"""Seconds per epoch of MELD for every kind of network, beside its plain loop over one dialogue after another.

    python -m benchmarks.networks --annotations DIR [--kinds bc_lstm,qmnn] [--plain-seconds 60]

DIR holds MELD's *_sent_emo.csv.  One epoch over its training split with its own lengths, speakers and labels;
features are random, of 768, 6373 and 1000 dimensions.  Each kind is that of its first recipe, in batches of
the recipe's size: forward, backward and optimiser step.  The plain loop is that of the tests
(tests/train/plain), on the same batches in turn, forward, backward and step too; after so many seconds of it
only the network goes on, and the plain epoch is reckoned by utterances from what it has done.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measure import machine
from benchmarks.training import (
    DIMS,
    as_features,
    batches_of,
    random_tables,
    stepper,
    timed,
    utterances_of_meld,
)
from pipeline.features.standardisation import fit_standardisation
from pipeline.params import Kind, ModelParams, kinds_in
from pipeline.runtime import device
from tests.train.plain import PlainDialogue
from train.data import Dialogues
from train.determinism import deterministic
from train.networks import KINDS, with_recipe
from train.trainer import Trainer

Step = Callable[[list[range]], None]
TIMED_ELSEWHERE = "multiemo"  # benchmarks.training has a transcription of it that is padded


def main(annotations: Path, kinds: list[str], plain_seconds: float) -> None:
    dialogues = dialogues_of_meld(annotations).to(device())
    spans = dialogues.spans["train"]
    print(
        f"an epoch of {len(spans)} dialogues, {sum(map(len, spans))} utterances; {device()}, one thread,"
        f" as models are trained; {machine()}"
    )
    for kind in kinds:
        model = with_recipe(ModelParams(features="random", network=Kind(kind=kind)), kind)
        with deterministic(0, dialogues.label.device):
            print(time_kind(kind, dialogues, model, plain_seconds), flush=True)


def time_kind(kind: str, dialogues: Dialogues, model: ModelParams, plain_seconds: float) -> str:
    batches = batches_of(dialogues, model.batch_dialogues)
    trainer = Trainer(dialogues, model, seed=0)
    ours, plain = stepper(trainer), plain_stepper(kind, dialogues, model)
    ours(batches[0])  # allocates and loads what the first step does
    epoch_s = ours_s = plain_s = 0.0
    utterances = 0
    for batch in batches:
        step_s = timed(ours, batch)
        epoch_s += step_s
        if kind != TIMED_ELSEWHERE and plain_s < plain_seconds:
            plain_s += timed(plain, batch)
            ours_s += step_s
            utterances += sum(map(len, batch))
    weights = sum(weight.numel() for weight in trainer.network.parameters()) / 1e6
    said = f"{kind}: {epoch_s:.1f} s, {weights:.2f} M weights, batches of {model.batch_dialogues}"
    if not utterances:
        return said
    plain_epoch_s = plain_s * len(dialogues.label) / utterances
    return f"{said}; plain {plain_epoch_s:.1f} s, {plain_s / ours_s:.1f} times as fast"


def plain_stepper(kind: str, dialogues: Dialogues, model: ModelParams) -> Step:
    """Steps of the network's plain loop, which reads the weights of a network of its own."""
    plain = importlib.import_module(f"tests.train.plain.{kind}")
    network = Trainer(dialogues, model, seed=0).network
    optimiser = torch.optim.Adam(network.parameters(), lr=model.learning_rate, weight_decay=2 * model.l2)

    def step(spans: list[range]) -> None:
        logits: list[Tensor] = [plain.logits(network, plain_dialogue(dialogues, span)) for span in spans]
        label = torch.cat([dialogues.label[span.start : span.stop] for span in spans])
        optimiser.zero_grad()
        F.cross_entropy(torch.cat(logits), label).backward()
        optimiser.step()

    return step


def plain_dialogue(dialogues: Dialogues, span: range) -> PlainDialogue:
    rows = slice(span.start, span.stop)
    return PlainDialogue(
        features={name: table[rows] for name, table in dialogues.features.items()},
        observed={name: seen[rows].tolist() for name, seen in dialogues.observed.items()},
        speaker=dialogues.speaker[rows].tolist(),
    )


def dialogues_of_meld(annotations: Path) -> Dialogues:
    """MELD's training split with random features."""
    utterances = [u for u in utterances_of_meld(annotations) if u.split == "train"]
    features = as_features(utterances, random_tables(len(utterances), np.random.default_rng(0)))
    return Dialogues.from_features(features, fit_standardisation(features, list(DIMS)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--kinds", type=lambda names: names.split(","), default=kinds_in(KINDS))
    parser.add_argument("--plain-seconds", type=float, default=60)
    arguments = parser.parse_args()
    main(arguments.annotations, arguments.kinds, arguments.plain_seconds)
