"""Some faces as the face encoder sees them, for the eyes of whoever checks a corpus."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.manifest import Medium
from pipeline.media.decoding import MediaError
from pipeline.media.frames import frames_at
from pipeline.store.h5 import Arrays

SHOWN = 24
Cut = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Of an image and a box, as the encoder's crops are made: the face as RGB uint8 [size, size, 3]."""


@dataclass(frozen=True)
class FaceImage:
    """One face."""

    utterance: str
    probability: float
    data_uri: str
    """JPEG."""


def draw_faces(media: Sequence[Medium], file: Arrays, root: Path, cut: Cut) -> list[FaceImage]:
    """The largest face in the first frame of utterances spread evenly; unreadable clips are left out."""
    pictures = []
    for row in spread(np.unique(file["face_utterance"]), SHOWN):
        face = int(np.flatnonzero(file["face_utterance"] == row)[0])  # the largest of the first frame
        try:
            number = int(file["frame_index"][face])
            image = next(picture for _, picture in frames_at(root / media[row].path, [number]))
        except MediaError:
            continue
        uri = as_jpeg(Image.fromarray(cut(image, file["box_px"][face])))
        pictures.append(FaceImage(media[row].id, float(file["probability"][face]), uri))
    return pictures


def spread(values: np.ndarray, count: int) -> list[int]:
    """At most ``count`` of the values, evenly spread."""
    if not len(values):
        return []
    places = np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int)
    chosen: list[int] = values[places].tolist()
    return chosen


def as_jpeg(picture: Image.Image) -> str:
    """A picture as a page can hold it."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
