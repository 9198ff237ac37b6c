"""Training on MELD's shape: beside the plain transcription, what launches cost, and the same bits twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.figures import Figures
from benchmarks.measure import median_s
from benchmarks.training import (
    DIMS,
    PRECISIONS,
    batches_of,
    features_of_meld,
    model_params,
    plain_stepper,
    stepper,
    timed,
)
from pipeline.features.standardisation import fit_standardisation
from pipeline.runtime import device
from train.data import Dialogues
from train.determinism import deterministic
from train.networks.multiemo import Params
from train.trainer import Trainer


def main(figures: Figures, rehearse: bool) -> None:
    dialogues = meld_on_device(rehearse)
    batches = batches_of(dialogues)
    for layers in (2,) if rehearse else (2, 6):
        add_epochs(figures, dialogues, batches, layers)
    add_same_bits(figures, dialogues, batches[:2])
    if device() != "cpu":
        add_launches(figures, dialogues, batches[:4])
        add_graph(figures, dialogues, batches[0])
        add_compiled(figures, dialogues, batches)


def meld_on_device(rehearse: bool) -> Dialogues:
    """Random features of MELD's shape, training and validation as one split; few for a rehearsal."""
    features = features_of_meld(None, 20) if rehearse else features_of_meld(None)
    return Dialogues.from_features(features, fit_standardisation(features, list(DIMS))).to(device())


def add_epochs(figures: Figures, dialogues: Dialogues, batches: Sequence[list[range]], layers: int) -> None:
    """An epoch in both precisions and by the transcription, batch by batch in turn."""
    steps = {"plain": plain_stepper(dialogues, Params(layers=layers))}
    for precision in PRECISIONS:
        steps[precision] = stepper(Trainer(dialogues, model_params(layers, precision), seed=0))
    for step in steps.values():
        for _ in range(2):
            step(batches[0])
    epoch_s = dict.fromkeys(steps, 0.0)
    for batch in batches:
        for name, step in steps.items():
            epoch_s[name] += timed(step, batch)
    figures.add(f"an epoch, {layers} layers, plain transcription, float32", epoch_s["plain"], "s")
    for precision in PRECISIONS:
        ratio = epoch_s["plain"] / epoch_s[precision]
        note = f"{ratio:.1f} times as fast as the transcription; goal 10"
        figures.add(f"an epoch, {layers} layers, {precision}", epoch_s[precision], "s", note)


def add_same_bits(figures: Figures, dialogues: Dialogues, batches: Sequence[list[range]]) -> None:
    """Two trainings of one seed."""
    runs = []
    for _ in range(2):
        with deterministic(0, dialogues.label.device):
            trainer = Trainer(dialogues, model_params(2, "float32"), seed=0)
            trainer.network.train()
            for batch in batches:
                trainer.step(dialogues.batch(batch))
            runs.append(trainer.weights())
    same = all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    figures.add(
        "the same seed twice", "the same bits" if same else "DIFFERENT bits", "", f"{len(batches)} steps"
    )


def add_launches(figures: Figures, dialogues: Dialogues, batches: Sequence[list[range]]) -> None:
    """Share of an epoch in which the GPU computes: the rest waits for launches."""
    step = stepper(Trainer(dialogues, model_params(2, "float32"), seed=0))
    step(batches[0])
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        start = time.perf_counter()
        for batch in batches:
            step(batch)
        torch.cuda.synchronize()
        wall_s = time.perf_counter() - start
    kernels = [event for event in profiled.key_averages() if event.self_device_time_total]
    busy_s = sum(event.self_device_time_total for event in kernels) / 1e6
    launches = sum(event.count for event in kernels) / len(batches)
    figures.add("GPU computes, 2 layers", 100 * busy_s / wall_s, "%", f"{launches:.0f} kernels a step")


def add_graph(figures: Figures, dialogues: Dialogues, spans: list[range]) -> None:
    """A step on one batch as a CUDA graph: what launches cost at most, as batches differ in shape."""
    trainer = Trainer(dialogues, model_params(2, "float32"), seed=0)
    trainer.network.train()
    batch = dialogues.batch(spans)

    def losses() -> None:
        trainer.optimiser.forget_gradients()
        trainer._run(batch)[1]["total"].backward()

    attempt(figures, "forward and backward of a batch as a CUDA graph", lambda: graphed_ms(losses))


def graphed_ms(function: Callable[[], None]) -> tuple[float, str, str]:
    """Milliseconds of a replay, beside those of the function itself."""
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            function()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    eager_s, replay_s = (median_s(each, rounds=10) for each in (function, graph.replay))
    return 1e3 * replay_s, "ms", f"launched one by one {1e3 * eager_s:.3g} ms"


def add_compiled(figures: Figures, dialogues: Dialogues, batches: Sequence[list[range]]) -> None:
    """torch.compile with dynamic shapes, compilation apart."""
    trainer = Trainer(dialogues, model_params(2, "float32"), seed=0)
    trainer.network.compile(dynamic=True)

    def compiled() -> tuple[float, str, str]:
        step = stepper(trainer)
        start = time.perf_counter()
        for batch in batches[:2]:
            step(batch)
        torch.cuda.synchronize()
        compile_s = time.perf_counter() - start
        epoch_s = sum(timed(step, batch) for batch in batches)
        return epoch_s, "s", f"compiled in {compile_s:.0f} s"

    attempt(figures, "an epoch, 2 layers, float32, torch.compile", compiled)


def attempt(figures: Figures, what: str, measure: Callable[[], tuple[float, str, str]]) -> None:
    """What is only tried: a failure is a finding."""
    try:
        figures.add(what, *measure())
    except Exception as error:
        figures.add(what, f"fails: {type(error).__name__}", "", str(error).strip().split("\n")[0][:200])
