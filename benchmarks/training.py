"""Training on a corpus of MELD's exact shape, against a plain transcription of the paper.

    python -m benchmarks.training                    on the CPU, or on a GPU if there is one
    python -m benchmarks.training --annotations DIR  with MELD's own speakers and labels

One epoch over MELD's 1152 dialogues of train and dev with their true lengths, in batches of 100; features
are random, of 768, 6373 and 1000 dimensions.  Each batch goes through both, one right after the other,
forward, backward and optimiser step.  DIR holds MELD's *_sent_emo.csv; without it speakers and labels are
drawn at random.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measure import machine
from benchmarks.plain_multiemo import PaddedBatch, PlainMultiEmo, plain_loss
from pipeline.corpora import meld
from pipeline.corpora.annotations.labels import MELD
from pipeline.features.content import Features, ModalityFeatures
from pipeline.features.standardisation import fit_standardisation
from pipeline.manifest import Utterance
from pipeline.params import ModelParams
from pipeline.runtime import device
from train.data import Dialogues
from train.determinism import deterministic
from train.networks.multiemo import Params
from train.trainer import Trainer

# MELD's train and dev dialogues of 1, 2, ... 24 utterances.
DIALOGUES_OF_LENGTH = (
    *(76, 64, 61, 52, 76, 69, 78, 74, 55, 65, 68, 62),
    *(42, 46, 46, 53, 34, 28, 31, 23, 21, 15, 8, 5),
)

DIMS = {"text": 768, "audio": 6373, "visual": 1000}
# bfloat16 pays where the processor computes in it (AVX512-BF16, AMX, a GPU), and is slower elsewhere.
PRECISIONS = ("float32", "bfloat16")


def main(annotations: Path | None) -> None:
    at_import_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    features = features_of_meld(annotations)
    dialogues = Dialogues.from_features(features, fit_standardisation(features, list(DIMS))).to(device())
    del features
    spans, batches = dialogues.spans["train"], batches_of(dialogues)
    print(
        f"an epoch of {len(spans)} dialogues, {sum(map(len, spans))} utterances, {len(batches)} batches;"
        f" {device()}, {torch.get_num_threads()} threads; {machine()}"
    )
    # Before another network is there, because this is the peak of one.
    for precision in PRECISIONS:
        trainer = Trainer(dialogues, model_params(6, precision), seed=0)
        with deterministic(0, dialogues.label.device):
            for batch in batches:
                stepper(trainer)(batch)
        del trainer
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"peak memory of data and training, 6 layers, {precision}: {peak_mib:.0f} MiB,"
            f" {at_import_mib:.0f} of it PyTorch's"
        )
    for layers in (2, 6):
        steppers = [plain_stepper(dialogues, Params(layers=layers))]
        for precision in PRECISIONS:
            steppers.append(stepper(Trainer(dialogues, model_params(layers, precision), seed=0)))
        for step in steppers:
            step(batches[0])  # allocates and loads what the first step does
        seconds = [[timed(step, batch) for step in steppers] for batch in batches]
        plain_s, *ours_s = (sum(each) for each in zip(*seconds, strict=True))
        print(f"{layers} layers, plain: {plain_s:.1f} s")
        for precision, epoch_s in zip(PRECISIONS, ours_s, strict=True):
            print(f"{layers} layers, {precision}: {epoch_s:.1f} s, {plain_s / epoch_s:.1f} times as fast")


def batches_of(dialogues: Dialogues, size: int = 100) -> list[list[range]]:
    """An epoch's batches, of ``size`` dialogues, in an order by chance."""
    spans = dialogues.spans["train"]
    order = torch.randperm(len(spans), generator=torch.Generator().manual_seed(0)).tolist()
    return [[spans[i] for i in order[k : k + size]] for k in range(0, len(order), size)]


def model_params(layers: int, precision: str) -> ModelParams:
    network = {"kind": "multiemo", "layers": layers}
    return ModelParams.model_validate({"features": "random", "network": network, "precision": precision})


def stepper(trainer: Trainer) -> Callable[[list[range]], None]:
    trainer.network.train()

    def step(spans: list[range]) -> None:
        trainer.step(trainer.dialogues.batch(spans))

    return step


def plain_stepper(dialogues: Dialogues, params: Params) -> Callable[[list[range]], None]:
    network = PlainMultiEmo(params, DIMS, len(MELD)).to(device())
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4, betas=(0.9, 0.99), weight_decay=2e-5)

    def step(spans: list[range]) -> None:
        batch = PaddedBatch(dialogues, spans)
        logits, z, fused = network(batch)
        loss = plain_loss(logits, z, fused, batch.label, params.loss, dialogues.class_counts)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def timed(step: Callable[[list[range]], None], batch: list[range]) -> float:
    """Seconds of one step."""
    start = time.perf_counter()
    step(batch)
    if device() != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def features_of_meld(annotations: Path | None, dialogues: int = 1152) -> Features:
    """MELD's train and dev as one training split, or its first dialogues, with random features."""
    random = np.random.default_rng(0)
    if annotations:
        given = [each for each in utterances_of_meld(annotations) if each.split != "test"]
        utterances = [replace(each, split="train") for each in given]
    else:
        lengths = random.permutation(np.repeat(np.arange(1, 25), DIALOGUES_OF_LENGTH))[:dialogues]
        places = [(f"dia{number}", place) for number, length in enumerate(lengths) for place in range(length)]
        speakers, labels = (random.integers(most, size=len(places)) for most in (4, len(MELD)))
        utterances = [
            Utterance(f"{dialogue}_utt{place}", "train", dialogue, place, str(speaker), MELD[label], text="")
            for (dialogue, place), speaker, label in zip(places, speakers, labels, strict=True)
        ]
    return as_features(utterances, random_tables(len(utterances), random))


def random_tables(count: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Of each modality [count, its dimensions]."""
    return {name: random.standard_normal((count, dim), np.float32) for name, dim in DIMS.items()}


def utterances_of_meld(annotations: Path) -> list[Utterance]:
    """From MELD's *_sent_emo.csv."""
    return [row.utterance for row in meld.read(annotations, meld.Params()).annotations]


def as_features(utterances: Sequence[Utterance], tables: Mapping[str, np.ndarray]) -> Features:
    """Utterances with MELD's labels, all of them observed, and each modality's table [n, D]."""
    count = len(utterances)
    seen, no_reason = np.ones(count, bool), np.full(count, "")
    columns: dict[str, Any] = {
        name: np.array([getattr(each, name) for each in utterances])
        for name in ("id", "split", "dialogue", "position", "speaker", "text")
    }
    return Features(
        corpus="meld",
        label_names=MELD,
        **columns,
        label=np.array([MELD.index(each.label) for each in utterances]),
        start_s=np.full(count, np.nan),
        end_s=np.full(count, np.nan),
        modalities={name: ModalityFeatures(table, seen, no_reason) for name, table in tables.items()},
        provenance={},
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--annotations", type=Path, default=None)
    main(parser.parse_args().annotations)
