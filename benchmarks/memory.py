"""Peak memory: of a stage by its number of dialogues, and of reading a file by its number of utterances.

    python -m benchmarks.memory

Limit: 1.3 times.  A dialogue's result is ten utterances of 1,000 features, the size of the visual ones, or
of 6,373, that of the sound's.  The file is a recording in 1080p with an utterance of a second after the
other, which the stages faces, visual and audio read; what they compute of it does not matter here.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np

from pipeline.media.audio import iterate_sounds
from pipeline.media.clips import Clip
from pipeline.media.decoding import Span
from pipeline.params import FacesParams, VisualParams
from pipeline.store.h5 import Arrays, write_h5
from pipeline.work.extraction import Item, extract, stack_on_disk
from pipeline.work.stagefile import no_vectors

DIALOGUES = (200, 2000)
DIMENSIONS = {"visual": 1000, "audio": 6373}
UTTERANCES = (4, 150)
FRAMES_PER_S = 20  # as many as are sampled of an utterance


def main() -> None:
    for name in DIMENSIONS:
        peaks_mb = [measure("dialogues", name, str(dialogues)) for dialogues in DIALOGUES]
        for process, *both in zip(("stage", "worker"), *peaks_mb, strict=True):
            report(f"{name}, {process}", both, DIALOGUES, "dialogues")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "recording.mp4")
        # In a process of its own, since a peak counts from the memory of the process's parent.
        measure("recording", str(path), str(max(UTTERANCES)))
        for name in READERS:
            peaks_mb = [measure("utterances", name, str(count), str(path)) for count in UTTERANCES]
            report(f"{name}, one file", [peak for peak, _ in peaks_mb], UTTERANCES, "utterances")


def measure(*arguments: str) -> list[float]:
    """Peaks in MB of a process of its own and of its children."""
    command = [sys.executable, "-m", "benchmarks.memory", *arguments]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(printed.splitlines()[-1])


def report(what: str, peaks_mb: Sequence[float], counts: Sequence[int], unit: str) -> None:
    (small_mb, large_mb), (few, many) = peaks_mb, counts
    print(
        f"{what}: {small_mb:.0f} MB for {few} {unit}, {large_mb:.0f} MB for {many}:"
        f" {large_mb / small_mb:.2f} times (limit 1.3)",
        flush=True,
    )


def print_peaks() -> None:
    peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps([peak / 1000 for peak in peaks]))


def work(seed: int, dimension: int) -> Arrays:
    values = np.random.default_rng(seed).random((10, dimension), np.float32)
    return {"features": values, "reason": np.array([""] * 10)}


def run_stage(name: str, dialogues: int) -> None:
    """What a stage does, from its items to its packed file."""
    dimension = DIMENSIONS[name]
    items = [Item(key=f"{n:064x}", dialogue=f"d{n}", utterances=10, work=n) for n in range(dialogues)]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MULTIEMO_STORE"] = folder
        parts = extract("bench", items, partial(work, dimension=dimension), workers=2)
        write_h5(Path(folder, "packed.h5"), stack_on_disk(parts, no_vectors(dimension), Path(folder)), {})


def write_recording(path: Path, seconds: int) -> None:
    """A recording in 1080p, with noise for sound."""
    noise = np.random.default_rng(0)
    with av.open(path, "w") as container:
        video = container.add_stream("mpeg4", rate=FRAMES_PER_S, width=1920, height=1080)
        audio = container.add_stream("aac", rate=48000, layout="mono")
        picture = av.VideoFrame.from_ndarray(noise.integers(0, 256, (1080, 1920, 3), np.uint8), "rgb24")
        for second in range(seconds):
            for number in range(FRAMES_PER_S):
                picture.pts, picture.time_base = second * FRAMES_PER_S + number, Fraction(1, FRAMES_PER_S)
                container.mux(video.encode(picture))
            sound = av.AudioFrame.from_ndarray(
                noise.uniform(-0.5, 0.5, (1, 48000)).astype("f4"), "fltp", "mono"
            )
            sound.sample_rate = 48000
            container.mux(audio.encode(sound))
        container.mux([*video.encode(), *audio.encode()])


def read_faces(path: Path, utterances: int) -> None:
    from pipeline.faces.dialogues import find_faces_of_dialogue  # brings in torch, which hides all else

    # Faces that fill a fifth of the height are quick to look for.
    find_faces_of_dialogue(clips(path, utterances), path.parent, FacesParams(min_face_size_px=200))


def read_visual(path: Path, utterances: int) -> None:
    from pipeline.encoders.face_vectors import ClipFaces, cut_faces

    box = np.array([[800, 400, 1000, 600]] * FRAMES_PER_S, np.float32)
    frames = [np.arange(n * FRAMES_PER_S, (n + 1) * FRAMES_PER_S) for n in range(utterances)]
    for _ in cut_faces(path, [ClipFaces(path.name, "", numbers, box) for numbers in frames], VisualParams()):
        pass


def read_audio(path: Path, utterances: int) -> None:
    for _ in iterate_sounds(clips(path, utterances), path.parent, 16000):
        pass


def clips(path: Path, utterances: int) -> list[Clip]:
    """An utterance in each second."""
    return [Clip(path.name, "", "", Span(second, second + 1)) for second in range(utterances)]


READERS: dict[str, Callable[[Path, int], None]] = {
    "faces": read_faces,
    "visual": read_visual,
    "audio": read_audio,
}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["dialogues", name, count]:
            from benchmarks import memory  # under whose name workers find its functions

            memory.run_stage(name, int(count))
            print_peaks()
        case ["recording", path, seconds]:
            write_recording(Path(path), int(seconds))
            print_peaks()
        case ["utterances", name, count, path]:
            READERS[name](Path(path), int(count))
            print_peaks()
        case _:
            main()
