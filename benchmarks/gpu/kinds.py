"""Every kind of network: seconds per epoch of MELD's shape, with the kind's own recipe."""

from __future__ import annotations

from benchmarks.gpu.figures import Figures
from benchmarks.gpu.training import attempt, batches_of, meld_on_device
from benchmarks.training import stepper, timed
from pipeline.params import Kind, ModelParams, kinds_in
from train.data import Dialogues
from train.networks import KINDS, with_recipe
from train.trainer import Trainer


def main(figures: Figures, rehearse: bool) -> None:
    dialogues = meld_on_device(rehearse)
    batches = batches_of(dialogues)
    for kind in kinds_in(KINDS):
        attempt(figures, f"an epoch of {kind}", lambda kind=kind: epoch_of(kind, dialogues, batches))


def epoch_of(kind: str, dialogues: Dialogues, batches: list[list[range]]) -> tuple[float, str, str]:
    """Seconds of an epoch after a first step."""
    params = with_recipe(ModelParams(features="random", network=Kind(kind=kind)), kind)
    step = stepper(Trainer(dialogues, params, seed=0))
    step(batches[0])
    return sum(timed(step, batch) for batch in batches), "s", ""
