"""The stages faces and visual on clips of 720p: how fast, what limits them, and where the time goes."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import mean

import numpy as np
import torch
from facenet_pytorch import MTCNN
from torch.profiler import ProfilerActivity, profile

from benchmarks import decode
from benchmarks.gpu.figures import Figures
from benchmarks.measure import MELD_UTTERANCES, median_s
from benchmarks.portrait import portrait_frames
from pipeline.encoders.face_vectors import crop_face
from pipeline.encoders.visual.resnet import Params, find_encoder
from pipeline.faces.detector import FaceDetector
from pipeline.params import FacesParams
from pipeline.runtime import device

SAMPLED_FRAMES = 20
GOAL_MINUTES = 30


def main(figures: Figures, rehearse: bool) -> None:
    frames = portrait_frames(2 if rehearse else SAMPLED_FRAMES)
    add_detector(figures, frames, rounds=1 if rehearse else 5)
    add_resnet(figures, frames, rounds=1 if rehearse else 5)
    for workers in (1,) if rehearse else (3, 1, 2):
        os.environ["MULTIEMO_WORKERS_PER_GPU"] = os.environ["MULTIEMO_WORKERS"] = str(workers)
        add_rates(figures, workers, rehearse)


def add_detector(figures: Figures, frames: np.ndarray, rounds: int) -> None:
    """MTCNN beside facenet-pytorch's on the same frames."""
    ours, theirs = FaceDetector(device=device()), MTCNN(keep_all=True, device=device())
    ours_s = median_s(lambda: ours.detect(list(frames)), rounds)
    theirs_s = median_s(lambda: theirs.detect(frames, landmarks=True), rounds)
    figures.add("MTCNN", len(frames) / ours_s, "frames/s", "720p, smallest face 20 px")
    figures.add(
        "facenet-pytorch's MTCNN, all frames together", len(frames) / theirs_s, "frames/s",
        f"ours is {theirs_s / ours_s:.2f} times as fast; goal 5",
    )  # fmt: skip
    add_profile(figures, "MTCNN", lambda: ours.detect(list(frames)))


def add_resnet(figures: Figures, frames: np.ndarray, rounds: int) -> None:
    """ResNet-101 in both precisions; TF32 is off, as in the stage."""
    box = np.array([400, 100, 800, 600], np.float32)
    crops = np.stack([crop_face(frame, box, 0.2, 224) for frame in frames])
    vectors = {}
    for precision in ("float32", "bfloat16"):
        encoder = find_encoder("visual.encoder", Params(weights="untrained", precision=precision), None)
        taken_s = median_s(partial(encoder.embed, crops), rounds)
        figures.add(f"ResNet-101, {precision}", len(crops) / taken_s, "faces/s", f"{len(crops)} at a time")
        vectors[precision] = torch.from_numpy(encoder.embed(crops)).double()
        if precision == "float32":
            add_profile(figures, "ResNet-101", partial(encoder.embed, crops))
    cosine = torch.cosine_similarity(vectors["float32"], vectors["bfloat16"]).min().item()
    figures.add("worst cosine of bfloat16 to float32", f"1 - {1 - cosine:.1e}", "", "untrained weights")


def add_rates(figures: Figures, workers: int, rehearse: bool) -> None:
    """Rates of both stages, decoding included, with some workers on one GPU."""
    with utilisation() as busy:
        rates = (
            decode.measure(1, 1, 1, FacesParams(frames_per_utterance=2))
            if rehearse
            else decode.measure(24, rounds=1)
        )
    for stage, each in rates.items():
        figures.add(
            f"{stage}, workers: {workers}", each.whole, "utterances/s",
            f"its network alone {each.alone:.3g}: it waits for {each.waiting:.0%} of the time",
        )  # fmt: skip
    minutes = sum(MELD_UTTERANCES / each.whole for each in rates.values()) / 60
    figures.add(
        f"MELD's utterances, faces and visual, workers: {workers}", minutes, "minutes", f"goal {GOAL_MINUTES}"
    )
    if busy:
        figures.add(f"GPU busy in all of this, workers: {workers}", mean(busy), "%", "as nvidia-smi says")


def add_profile(figures: Figures, what: str, function: Callable[[], object], lines: int = 6) -> None:
    """The operations that take most of the time: the GPU's own where there is one."""
    on_gpu = device() != "cpu"
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA][: 1 + on_gpu]) as profiled:
        function()
    name = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    events = sorted(profiled.key_averages(), key=lambda event: -getattr(event, name))
    total = sum(getattr(event, name) for event in events)
    for event in events[:lines]:
        share = getattr(event, name) / total
        figures.add(f"{what}, its time: {event.key[:60]}", share * 100, "%", f"{event.count} calls")


@contextmanager
def utilisation() -> Iterator[list[float]]:
    """Percent of the time in which a kernel ran on the first GPU, five times a second; none without a GPU."""
    readings: list[float] = []
    if device() == "cpu":
        yield readings
        return
    command = "nvidia-smi --query-gpu=utilization.gpu --format=csv,noheader,nounits -i 0 -lms 200"
    with subprocess.Popen(command.split(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        reader = threading.Thread(
            target=lambda: readings.extend(float(line) for line in process.stdout or ())
        )
        reader.start()
        yield readings
        process.terminate()
        reader.join()
