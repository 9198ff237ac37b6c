"""Every kind of encoder and of network: utterances per second, and seconds per epoch of MELD's shape."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import torch

from benchmarks.encoders import MAKERS
from benchmarks.gpu.figures import Figures
from benchmarks.gpu.training import attempt, meld_on_device
from benchmarks.measure import time_in_turn
from benchmarks.training import batches_of, stepper, timed
from pipeline.params import Kind, ModelParams, kinds_in
from train.data import Dialogues
from train.networks import KINDS, with_recipe
from train.trainer import Trainer

MOST_STEPS = 20
"""Of an epoch, which is reckoned from them."""


def main(figures: Figures, rehearse: bool) -> None:
    for name in ["facenet"] if rehearse else MAKERS:
        attempt(figures, f"encoder {name}", partial(rate_of, name, rounds=1 if rehearse else 3))
    dialogues = meld_on_device(rehearse)
    for kind in kinds_in(KINDS):
        attempt(figures, f"an epoch of {kind}", partial(epoch_of, kind, dialogues))


def rate_of(name: str, rounds: int) -> tuple[float, str, str]:
    """Utterances per second of an encoder with the published sizes, one at a time."""
    with tempfile.TemporaryDirectory() as temporary:
        whole, alone = MAKERS[name](Path(temporary, name))
        whole()
        with torch.inference_mode():
            spent_s = time_in_turn(rounds, whole=whole, alone=alone)
    return 1 / spent_s["whole"], "utterances/s", f"its network alone {1 / spent_s['alone']:.3g}"


def epoch_of(kind: str, dialogues: Dialogues) -> tuple[float, str, str]:
    """Seconds of an epoch with the kind's first recipe, after a first step."""
    params = with_recipe(ModelParams(features="random", network=Kind(kind=kind)), kind)
    batches = batches_of(dialogues, params.batch_dialogues)
    step = stepper(Trainer(dialogues, params, seed=0))
    step(batches[0])
    taken = batches[:MOST_STEPS]
    epoch_s = sum(timed(step, batch) for batch in taken) * len(batches) / len(taken)
    return epoch_s, "s", f"batches of {params.batch_dialogues}, {len(taken)} of {len(batches)} timed"
