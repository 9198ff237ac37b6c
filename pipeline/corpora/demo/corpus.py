"""The built-in demo corpus: dialogues of talking faces in MELD's raw layout, made from a seed.

    {train,dev,test}_sent_emo.csv                 MELD's columns
    train_splits/ dev_splits_complete/ output_repeated_splits_test/
        dia{D}_utt{U}.mp4                         H.264 320x240 at 25 fps, AAC stereo at 48 kHz

The face is a photograph's and the voice a synthesiser's, both moved by the emotion, so that detectors
and encoders have something real to find.  The same params give the same bytes, however many workers.
Some training clips go wrong as they do in real corpora: see ``script.fault_places``.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
from av.codec.context import Flags

from pipeline.corpora.demo.scene import HEIGHT_PX, WIDTH_PX, draw_frames
from pipeline.corpora.demo.script import FRAME_RATE_HZ, SPLITS, DemoUtterance, Split, write_script
from pipeline.corpora.demo.voice import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, sound_track
from pipeline.errors import UserError
from pipeline.params import DemoParams
from pipeline.work.engine import run_all
from pipeline.work.processes import WorkerDied
from pipeline.work.progress import Progress

CLIP_FOLDERS: dict[Split, str] = {
    "train": "train_splits",
    "dev": "dev_splits_complete",
    "test": "output_repeated_splits_test",
}
COLUMNS = (
    "Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID",
    "Season", "Episode", "StartTime", "EndTime",
)  # fmt: skip
# MELD has surprises of both kinds; here all are taken for good ones.
SENTIMENTS = {"neutral": "neutral", "joy": "positive", "surprise": "positive"}

_FIRST_LINE_S = 60.0
_PAUSE_S = 0.4
# One thread: with several, the bytes would depend on the machine.
_X264_OPTIONS = {"preset": "superfast", "crf": "20", "threads": "1"}
_AAC_OPTIONS = {"b": "128000", "aac_coder": "fast"}


@dataclass(frozen=True)
class DemoCorpus:
    """What was made."""

    utterances: int
    dialogues: int
    video_s: float


def build_demo_corpus(params: DemoParams, root: Path, *, workers: int = 1) -> DemoCorpus:
    """Make the corpus in ``root``, in place of what may be there; nothing half-made is ever seen there.

    Raises UserError where ``params`` ask for faults and the training split is too small for them.
    """
    script = write_script(params)
    # A killed run leaves this folder behind, and the next one starts it anew.
    unfinished = root.with_name(f".{root.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    for folder in CLIP_FOLDERS.values():
        (unfinished / folder).mkdir(parents=True)

    durations_s: dict[DemoUtterance, float] = {}
    make = partial(_make_clip, folder=unfinished.absolute())
    with Progress("demo", utterances=len(script)) as progress:

        def say(utterance: DemoUtterance, death: WorkerDied) -> None:
            progress.say(f"a worker died at {utterance.clip_name} ({death}); it will be tried again alone")

        for utterance, duration_s, death in run_all(
            make, script, workers=workers, modules=[__name__], on_death=say
        ):
            if death is not None:
                raise UserError(f"{utterance.clip_name}: worker died twice: {death}; run dvc repro again")
            durations_s[utterance] = duration_s
            progress.advance(utterances=1)

    for split in SPLITS:
        rows = [(u, durations_s[u]) for u in script if u.split == split]
        _write_annotations(unfinished / f"{split}_sent_emo.csv", rows)
    if root.exists():
        shutil.rmtree(root)
    unfinished.rename(root)
    return DemoCorpus(len(script), len({(u.split, u.dialogue) for u in script}), sum(durations_s.values()))


def _make_clip(utterance: DemoUtterance, folder: Path) -> float:
    """Render one utterance, and spoil it if it is to be spoilt; its duration in seconds."""
    path = folder / CLIP_FOLDERS[utterance.split] / utterance.clip_name
    # Workers already use all cores.
    cv2.setNumThreads(1)
    sound, mouth_opening = sound_track(utterance)
    if utterance.fault != "missing":
        frames = draw_frames(utterance, mouth_opening)
        write_mp4(path, frames, None if utterance.fault == "no_sound_track" else sound)
    if utterance.fault == "truncated":
        # An MP4's index stands at its end: half a file cannot be decoded at all.
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
    return len(mouth_opening) / FRAME_RATE_HZ


def write_mp4(
    path: Path,
    frames: Iterable[np.ndarray],
    sound: np.ndarray | None,
    size_px: tuple[int, int] = (WIDTH_PX, HEIGHT_PX),
) -> None:
    """Encode RGB frames and int16 [samples, 2], without dates and versions: same input, same bytes."""
    with av.open(str(path), "w", format="mp4", container_options={"fflags": "+bitexact"}) as container:
        video = container.add_stream("libx264", FRAME_RATE_HZ, _X264_OPTIONS)
        (video.width, video.height), video.pix_fmt = size_px, "yuv420p"
        video.codec_context.flags |= Flags.bitexact
        audio = None
        if sound is not None:
            audio = container.add_stream("aac", SAMPLE_RATE_HZ, _AAC_OPTIONS, layout="stereo")
            audio.codec_context.flags |= Flags.bitexact

        for number, frame in enumerate(frames):
            yuv = cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420).astype(np.uint8, copy=False)
            picture = av.VideoFrame.from_ndarray(yuv, "yuv420p")
            picture.pts = number
            container.mux(video.encode(picture))
            if audio is not None and sound is not None:
                samples = sound[number * SAMPLES_PER_FRAME : (number + 1) * SAMPLES_PER_FRAME]
                block = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "s16", "stereo")
                block.sample_rate, block.pts = SAMPLE_RATE_HZ, number * SAMPLES_PER_FRAME
                container.mux(audio.encode(block))
        container.mux(video.encode())
        if audio is not None:
            container.mux(audio.encode())


def _write_annotations(path: Path, rows: list[tuple[DemoUtterance, float]]) -> None:
    """MELD's table of a split: every dialogue is an episode, in which one line follows the other."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        start_s = _FIRST_LINE_S
        for number, (u, duration_s) in enumerate(rows, start=1):
            if u.position == 0:
                start_s = _FIRST_LINE_S
            label = (u.speaker, u.emotion, SENTIMENTS.get(u.emotion, "negative"))
            episode = (SPLITS.index(u.split) + 1, u.dialogue + 1)
            times = (_clock_time(start_s), _clock_time(start_s + duration_s))
            writer.writerow((number, u.text, *label, u.dialogue, u.position, *episode, *times))
            start_s += duration_s + _PAUSE_S


def _clock_time(seconds: float) -> str:
    """``HH:MM:SS,mmm``"""
    milliseconds = round(seconds * 1000)
    whole_s, milliseconds = divmod(milliseconds, 1000)
    return f"{whole_s // 3600:02}:{whole_s // 60 % 60:02}:{whole_s % 60:02},{milliseconds:03}"
