"""How long the networks wait for files: each stage in its workers, beside its network alone in as many.

    python -m benchmarks.decode [dialogues]

A dialogue has four clips, each in a file of its own.  Alone, a network gets the frames or faces of one
clip, which are at hand, as often.  On a GPU, where 24 dialogues or more should be taken, the share of
time in which the networks wait is that in which the GPU idles.  Limit: the rate of decoding.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from benchmarks.measure import machine, time_in_turn
from benchmarks.portrait import FRAMES, write_portrait
from pipeline import runtime
from pipeline.encoders.face_vectors import ClipFaces, cut_faces, embed_dialogue
from pipeline.encoders.visual import VisualEncoder
from pipeline.encoders.visual.resnet import Params, find_encoder
from pipeline.faces.dialogues import find_faces, find_faces_of_dialogue
from pipeline.media.clips import Clip
from pipeline.media.frames import read_frames
from pipeline.params import FacesParams, VisualParams
from pipeline.work.engine import Engine, open_engine
from pipeline.work.processes import Function

Content = TypeVar("Content")

FACES = FacesParams()
VISUAL = VisualParams()
CLIPS = 4
ROUNDS = 2

_at_hand: dict[str, Any] = {}


def main(dialogues: int) -> None:
    print(
        f"{dialogues} dialogues of {CLIPS} clips of {FRAMES} frames in 720p; {runtime.device()},"
        f" {runtime.model_workers()} workers, in each {runtime.decode_threads()} threads that decode ahead;"
        f" {machine()}"
    )
    for stage, rates in measure(dialogues).items():
        print(
            f"{stage}: {rates.whole:.2f} utterances/s, its network alone {rates.alone:.2f}:"
            f" it waits for {rates.waiting:.1%} of the time"
        )
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, "clip.mp4")
        write_portrait(path)
        start = time.perf_counter()
        for _ in range(CLIPS):
            list(read_frames(path, FACES.frames_per_utterance))
        decoding_s = time.perf_counter() - start
    print(f"decoding alone: {CLIPS * FRAMES / decoding_s:.0f} frames/s of one thread")


class Rates(NamedTuple):
    """Utterances per second of all workers."""

    whole: float
    """Of the stage."""
    alone: float
    """Of its network, whose pictures are at hand."""

    @property
    def waiting(self) -> float:
        """Share of the stage's time in which the networks wait."""
        return 1 - self.whole / self.alone


def measure(
    dialogues: int, clips: int = CLIPS, rounds: int = ROUNDS, params: FacesParams = FACES
) -> dict[str, Rates]:
    """Of the stages faces and visual, in as many workers as the environment says."""
    with (
        tempfile.TemporaryDirectory() as temporary,
        open_engine(runtime.model_workers(), [__name__]) as engine,
    ):
        root = Path(temporary)
        paths = [f"{number}.mp4" for number in range(clips)]
        write_portrait(root / paths[0])
        for path in paths[1:]:
            shutil.copy(root / paths[0], root / path)
        dialogue = [Clip(path, sha256="", problem="") for path in paths]
        detect = partial(find_faces_of_dialogue, root=root, params=params)
        faces = run_both(engine, [dialogue] * dialogues, detect, partial(detect_alone, root, params), rounds)
        found = detect(dialogue[:1])
        with_faces = [ClipFaces(path, "", found["frame_index"], found["box_px"]) for path in paths]
        encoder = find_encoder("visual.encoder", Params(weights="untrained"), None)
        embed = partial(embed_dialogue, root=root, encoder=encoder, params=VISUAL)
        alone = partial(embed_alone, root, encoder)
        visual = run_both(engine, [with_faces] * dialogues, embed, alone, rounds)
    return {"faces": faces, "visual": visual}


def run_both(engine: Engine, dialogues: Sequence, whole: Function, alone: Function, rounds: int) -> Rates:
    def run(function: Function, dialogues: Sequence) -> None:
        list(engine.run(function, dialogues))

    # Each worker loads the network, and what it gets alone.
    for function in (whole, alone):
        run(function, [dialogue[:1] for dialogue in dialogues])
    seconds = time_in_turn(rounds, whole=partial(run, whole, dialogues), alone=partial(run, alone, dialogues))
    return Rates(**{name: sum(map(len, dialogues)) / each for name, each in seconds.items()})


def detect_alone(root: Path, params: FacesParams, clips: Sequence[Clip]) -> None:
    [(_, frames)] = at_hand(
        "frames", lambda: list(read_frames(root / clips[0].path, params.frames_per_utterance))
    )
    for _ in clips:
        find_faces(frames, "", params)


def embed_alone(root: Path, encoder: VisualEncoder, clips: Sequence[ClipFaces]) -> None:
    [(_, crops)] = at_hand("crops", lambda: list(cut_faces(root / clips[0].path, clips[:1], VISUAL)))
    for _ in clips:
        encoder.embed(crops)


def at_hand(name: str, read: Callable[[], Content]) -> Content:
    """What this process has read before, or reads now."""
    if name not in _at_hand:
        _at_hand[name] = read()
    return _at_hand[name]


if __name__ == "__main__":
    from benchmarks import decode  # so that workers find its functions, and what these have at hand

    decode.main(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
