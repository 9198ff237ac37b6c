"""Faces to one vector per utterance: cut out every face, embed it, pool [3.3.3]."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline import runtime
from pipeline.encoders.encoder import require_finite
from pipeline.encoders.visual import VisualEncoder
from pipeline.media.clips import Outcome, read_by_file
from pipeline.media.decoding import MediaError
from pipeline.media.frames import frames_at
from pipeline.params import VisualParams
from pipeline.speakers.one_per_frame import largest_faces
from pipeline.store.h5 import Arrays


@dataclass(frozen=True)
class ClipFaces:
    """A clip and the faces found in it: what a worker needs to embed them."""

    path: str
    """Relative to the corpus root."""
    problem: str
    """Why there are no faces; empty where there are some."""
    frame_index: np.ndarray
    """int64 [F], ascending: the frame of each face."""
    box_px: np.ndarray
    """float32 [F, 4]: left, top, right, bottom; the largest face of a frame first."""
    utterance: str = ""
    """Its id, for errors."""

    def only(self, kept: np.ndarray) -> ClipFaces:
        """The same clip with some of its faces."""
        return replace(self, frame_index=self.frame_index[kept], box_px=self.box_px[kept])


def embed_dialogue(
    clips: Sequence[ClipFaces], root: Path, encoder: VisualEncoder, params: VisualParams
) -> Arrays:
    """Features and reasons of all clips of a dialogue, decoding every file once.

    UserError, naming the utterance, if the encoder gives numbers that are not finite.
    """
    if params.pooling == "largest":
        clips = [clip.only(largest_faces(clip.frame_index, clip.box_px)) for clip in clips]
    features = np.zeros((len(clips), encoder.dimension), np.float32)
    reasons = [""] * len(clips)
    for place, embeddings in iterate_embeddings(clips, root, encoder, params):
        if isinstance(embeddings, MediaError):
            reasons[place] = str(embeddings)
        else:
            features[place] = pool(embeddings, clips[place].frame_index, params.pooling)
            require_finite(features[place], clips[place].utterance, "visual encoder")
    return {
        "features": features,
        "reason": np.array(reasons),
        "device": np.array([runtime.device_name()]),
    }


def iterate_embeddings(
    clips: Sequence[ClipFaces], root: Path, encoder: VisualEncoder, params: VisualParams
) -> Iterator[Outcome[np.ndarray]]:
    """(place in ``clips``, embeddings float32 [F, D] of its faces or why there are none), file by file."""

    def read(path: str, places: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        return cut_faces(root / path, [clips[place] for place in places], params)

    for place, faces in read_by_file(clips, read, runtime.decode_threads()):
        # Batches never mix clips, so that a clip's vector does not depend on its neighbours.
        yield place, faces if isinstance(faces, MediaError) else encoder.embed(faces)


def cut_faces(
    path: Path, clips: Sequence[ClipFaces], params: VisualParams
) -> Iterator[tuple[int, np.ndarray]]:
    """(place in ``clips``, its faces, uint8 [F, size, size, 3]) as soon as the last of them is cut.

    Raises MediaError if the file cannot be decoded.
    """
    using: dict[int, list[int]] = {}  # number of a frame -> places
    for place, clip in enumerate(clips):
        for number in np.unique(clip.frame_index).tolist():
            using.setdefault(number, []).append(place)
    crops: dict[int, np.ndarray] = {}
    for number, image in frames_at(path, using):
        for place in using[number]:
            clip = clips[place]
            if place not in crops:
                shape = (len(clip.box_px), params.crop_size_px, params.crop_size_px, 3)
                crops[place] = np.empty(shape, np.uint8)
            for face in np.flatnonzero(clip.frame_index == number):
                box_px = clip.box_px[face]
                crops[place][face] = crop_face(image, box_px, params.crop_margin, params.crop_size_px)
            if number == clip.frame_index.max():
                yield place, crops.pop(place)


def pool(embeddings: np.ndarray, frame_index: np.ndarray, pooling: str) -> np.ndarray:
    """One vector [D] from those of all faces [F, D] of a clip, which lie frame by frame."""
    if pooling == "frames":
        frames = [embeddings[frame_index == number].mean(axis=0) for number in np.unique(frame_index)]
        return np.mean(frames, axis=0)
    return embeddings.mean(axis=0)


def crop_face(image: np.ndarray, box_px: np.ndarray, margin: float, size_px: int) -> np.ndarray:
    """A face as RGB uint8 [size, size, 3], cut as a square around its box and resized with antialiasing.

    The square is the box's longer side plus ``margin`` of it on each side; beyond the image, the
    image's edge is repeated.
    """
    left, top, right, bottom = box_px.astype(float)
    half = max(right - left, bottom - top) * (0.5 + margin)
    x, y = (left + right) / 2, (top + bottom) / 2
    square = np.array([x - half, y - half, x + half, y + half])
    height, width = image.shape[:2]
    beyond = math.ceil(max(0, -square.min(), square[2] - width, square[3] - height))
    padded = Image.fromarray(np.pad(image, ((beyond, beyond), (beyond, beyond), (0, 0)), mode="edge"))
    # Pillow's resize averages over the source pixels of each target pixel, at sub-pixel positions.
    face = padded.resize((size_px, size_px), Image.Resampling.BILINEAR, box=tuple(square + beyond))
    return np.asarray(face)
