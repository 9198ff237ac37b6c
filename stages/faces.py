"""Clips -> faces: sample frames evenly and find every face in them with MTCNN [3.3.3].

Writes faces.h5: per utterance how many frames were looked at; per face its utterance (row), frame,
box, probability and five landmarks, in pixels of the original image; in each frame the largest face
first.  Pixels are not kept: decoding again costs little, and faces are personal data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from pipeline import runtime
from pipeline.encoders.visual import finds_faces
from pipeline.faces.dialogues import NO_CLIPS, find_faces_of_dialogue
from pipeline.manifest import by_dialogue, read_media
from pipeline.media.clips import image_clip
from pipeline.params import read_params
from pipeline.store.h5 import Arrays
from pipeline.work.stagefile import ExtractionStage, run_extraction, write_unused


def main(corpus: str) -> None:
    """Write ``data/<corpus>/faces.h5``."""
    params = read_params().corpus(corpus)
    if not finds_faces(corpus, params):
        why = "visual.encoder reads whole frames"
        return write_unused("faces", corpus, *([why] if "visual" in params.modalities else []))
    media = read_media(Path("data", corpus, "media.csv"))
    stage = ExtractionStage(
        name="faces",
        modality="visual",
        function=partial(find_faces_of_dialogue, root=params.folder, params=params.faces),
        inputs=lambda dialogue, clips: [clip.key for clip in clips],
        settings=params.faces.model_dump(mode="json"),
        libraries=("torch", "torchvision", "facenet-pytorch", "numpy", "av"),
        empty=NO_CLIPS,
        about={"detector": "MTCNN with the weights of facenet-pytorch"},
        workers=runtime.model_workers(),
        per_utterance=("frames_sampled",),
        arrange=_number_rows,
    )
    dialogues = {name: [image_clip(row) for row in rows] for name, rows in by_dialogue(media).items()}
    run_extraction(corpus, stage, dialogues, [row.id for row in media], params.max_unobserved.visual)


def _number_rows(parts: Iterable[Arrays]) -> Iterator[Arrays]:
    """The parts with ``face_utterance`` counting from the corpus's first utterance."""
    first_row = 0
    for part in parts:
        yield {**part, "face_utterance": part["face_utterance"] + first_row}
        first_row += len(part["reason"])
