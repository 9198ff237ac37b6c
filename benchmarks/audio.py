"""The stage audio against openSMILE called directly, on the same wav files.

    python -m benchmarks.audio

Each round runs openSMILE directly, in one process and in as many at once as the stage has workers, and
the stage on few clips and on many; the difference of its two runs leaves out the start of Python, of the
workers and of openSMILE, which is printed by itself.  Linear is openSMILE's rate in one process, times
the workers; processor time, which other work on the machine changes less, tells what the stage adds.
Limit: openSMILE itself, which the stage calls as it is.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import wave
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import opensmile

from benchmarks.manifest import make_corpus
from benchmarks.measure import machine, run_stage
from pipeline import runtime

SAMPLE_RATE_HZ = 16_000
DURATION_S = 3.0
ROUNDS, FEW, CLIPS = 5, 100, 400


def main() -> None:
    workers = runtime.workers()
    print(f"clips of {DURATION_S:.0f} s; {machine()}")
    with tempfile.TemporaryDirectory() as temporary:
        few = make_project(Path(temporary, "few"), FEW)
        many = make_project(Path(temporary, "many"), FEW + CLIPS)
        rounds = [measure(few, many, workers) for _ in range(ROUNDS)]
    linear = [direct.clock_s / workers / stage.clock_s for direct, _, stage, _ in rounds]
    direct, at_once, stage, start_s = rounds[linear.index(median(linear))]
    print(
        f"openSMILE {1 / direct.clock_s:.1f} utterances/s; the stage {1 / stage.clock_s:.1f} with {workers}"
        f" workers, {median(linear):.2f} times linear (rounds: {', '.join(f'{x:.2f}' for x in linear)})"
    )
    print(f"{workers} processes of openSMILE at once: {direct.clock_s / at_once.clock_s:.2f} times linear")
    print(
        f"processor time of an utterance: openSMILE {1000 * direct.processor_s:.1f} ms, the stage"
        f" {1000 * stage.processor_s:.1f} ms, {direct.processor_s / stage.processor_s:.2f} times linear"
    )
    print(f"start of the stage {start_s:.1f} s, once")


class Cost(NamedTuple):
    """Of one utterance, or of a whole run."""

    clock_s: float
    processor_s: float


def measure(few: Path, many: Path, workers: int) -> tuple[Cost, Cost, Cost, float]:
    """An utterance by openSMILE, alone and beside others, and by the stage; seconds for the stage's start."""
    paths = sorted((few / "raw").glob("*.wav"))
    first = run_audio(few, workers)
    direct = call_opensmile(paths)
    last = run_audio(many, workers)
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(call_opensmile, [paths[:1]] * workers))  # starts them
        at_once = max(pool.map(call_opensmile, [paths] * workers))
    stage = Cost((last.clock_s - first.clock_s) / CLIPS, (last.processor_s - first.processor_s) / CLIPS)
    return direct, at_once, stage, first.clock_s - FEW * stage.clock_s


def make_project(folder: Path, clips: int) -> Path:
    """A corpus of wav files in dialogues of ten, with its manifest."""
    for number, path in enumerate(make_corpus(folder, clips, ".wav")):
        write_speech_like(path, seed=number)
    run_stage(folder, "manifest", "demo", MULTIEMO_WORKERS="1")
    return folder


def write_speech_like(path: Path, seed: int) -> None:
    """A voice of 120 to 220 Hz with harmonics that comes and goes, and some noise; mono, 16 bits."""
    random = np.random.default_rng(seed)
    time_s = np.arange(int(DURATION_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    pitch_hz = random.uniform(120, 220)
    voice = sum(np.sin(2 * np.pi * pitch_hz * k * time_s) / k for k in range(1, 20))
    loudness = np.clip(np.sin(2 * np.pi * 2 * time_s + random.uniform(0, 6)), 0, 1)
    samples = 0.1 * voice * loudness + 0.005 * random.standard_normal(len(time_s))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def run_audio(project: Path, workers: int) -> Cost:
    """The whole run, the start of Python included; nothing is stored beforehand."""
    shutil.rmtree(project / "store", ignore_errors=True)
    processor_start = children_processor_s()
    clock_s = run_stage(project, "audio", "demo", MULTIEMO_WORKERS=str(workers))
    return Cost(clock_s, children_processor_s() - processor_start)


def children_processor_s() -> float:
    """Processor seconds of all processes that were started and have ended."""
    times = os.times()
    return times.children_user + times.children_system


def call_opensmile(paths: list[Path]) -> Cost:
    smile = opensmile.Smile(opensmile.FeatureSet.ComParE_2016, opensmile.FeatureLevel.Functionals)
    smile.process_file(str(paths[0]))
    start, processor_start = time.perf_counter(), time.process_time()
    for path in paths:
        smile.process_file(str(path))
    seconds = time.perf_counter() - start, time.process_time() - processor_start
    return Cost(seconds[0] / len(paths), seconds[1] / len(paths))


if __name__ == "__main__":
    main()
