"""Clips -> faces: sample frames evenly and find every face in them with MTCNN [3.3.3].

Writes faces.h5: per utterance how many frames were looked at; per face its utterance (row), frame,
box, probability and five landmarks, in pixels of the original image, and the track, which says who is the
same from frame to frame; in each frame the largest face first.  With ``visual.pooling: speaker`` also
``speaking``, how sure it is that this track's mouth makes the sound.  Pixels are not kept: decoding again
costs little, and faces are personal data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pipeline import runtime
from pipeline.encoders.visual import finds_faces, finds_speakers
from pipeline.faces.dialogues import NO_CLIPS, find_faces_of_dialogue
from pipeline.faces.speakers import NO_SPEAKERS, find_speakers_of_dialogue
from pipeline.manifest import Medium, by_dialogue, read_media
from pipeline.media.clips import Clip, audio_clip, image_clip
from pipeline.params import CorpusParams, read_params
from pipeline.speakers.loudness import FilmedClip
from pipeline.store.h5 import Arrays
from pipeline.work.stagefile import ExtractionStage, run_extraction, write_unused

LIBRARIES = ("torch", "torchvision", "facenet-pytorch", "numpy", "scipy", "av")
ABOUT = {"detector": "MTCNN with the weights of facenet-pytorch"}


def main(corpus: str) -> None:
    """Write ``data/<corpus>/faces.h5``."""
    params = read_params().corpus(corpus)
    if not finds_faces(corpus, params):
        why = "visual.encoder reads whole frames"
        return write_unused("faces", corpus, *([why] if "visual" in params.modalities else []))
    media = read_media(Path("data", corpus, "media.csv"))
    describe: Any = _with_speakers if finds_speakers(corpus, params) else _without_sound
    stage, as_clip = describe(params)
    dialogues = {name: [as_clip(row) for row in rows] for name, rows in by_dialogue(media).items()}
    run_extraction(corpus, stage, dialogues, [row.id for row in media], params.max_unobserved.visual)


def _without_sound(params: CorpusParams) -> tuple[ExtractionStage[Clip], Callable[[Medium], Clip]]:
    """The stage, and what it works on for an utterance."""
    stage = ExtractionStage(
        name="faces",
        modality="visual",
        function=partial(find_faces_of_dialogue, root=params.folder, params=params.faces),
        inputs=lambda dialogue, clips: [clip.key for clip in clips],
        settings=params.faces.model_dump(mode="json"),
        libraries=LIBRARIES,
        empty=NO_CLIPS,
        about=ABOUT,
        workers=runtime.model_workers(),
        per_utterance=("frames_sampled",),
        arrange=_number_rows,
    )
    return stage, image_clip


def _with_speakers(
    params: CorpusParams,
) -> tuple[ExtractionStage[FilmedClip], Callable[[Medium], FilmedClip]]:
    """The same where it is asked who speaks."""
    stage = ExtractionStage(
        name="faces",
        modality="visual",
        function=partial(find_speakers_of_dialogue, root=params.folder, params=params.faces),
        inputs=lambda dialogue, clips: [[clip.image.key, clip.sound.key] for clip in clips],
        settings=params.faces.model_dump(mode="json"),
        libraries=(*LIBRARIES, "opencv-python-headless"),
        empty=NO_SPEAKERS,
        about=ABOUT,
        workers=runtime.model_workers(),
        per_utterance=("frames_sampled",),
        arrange=_number_rows,
    )
    return stage, lambda row: FilmedClip(image_clip(row), audio_clip(row))


def _number_rows(parts: Iterable[Arrays]) -> Iterator[Arrays]:
    """The parts with ``face_utterance`` counting from the corpus's first utterance."""
    first_row = 0
    for part in parts:
        yield {**part, "face_utterance": part["face_utterance"] + first_row}
        first_row += len(part["reason"])
