"""The faces in a dialogue's clips: frames sampled evenly, and every face in them by MTCNN [3.3.3].

Per utterance how many frames were looked at; per face its utterance, frame, box, probability and five
landmarks, in pixels of the original image, and its track; in each frame the largest face first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from pipeline import runtime
from pipeline.encoders.pretrained import prepare_torch
from pipeline.faces.detector import FaceDetector
from pipeline.faces.tracks import link_faces
from pipeline.media.clips import Clip
from pipeline.media.decoding import MediaError
from pipeline.media.frames import SampledFrames, crop_box_px, iterate_frames
from pipeline.params import FacesParams
from pipeline.store.arrays import stack
from pipeline.store.h5 import Arrays

NO_FACES: Arrays = {
    "face_utterance": np.empty(0, np.int64),
    "frame_index": np.empty(0, np.int64),
    "box_px": np.empty((0, 4), np.float32),
    "probability": np.empty(0, np.float32),
    "landmarks_px": np.empty((0, 5, 2), np.float32),
    "track": np.empty(0, np.int64),
}
NO_CLIPS: Arrays = {
    **NO_FACES,
    "frames_sampled": np.empty(0, np.int64),
    "reason": np.empty(0, str),
    "device": np.empty(0, str),
}


def find_faces_of_dialogue(clips: Sequence[Clip], root: Path, params: FacesParams) -> Arrays:
    """Faces of all clips of a dialogue, ``face_utterance`` counting from its first clip."""
    parts: list[Arrays] = [{}] * len(clips)
    threads = runtime.decode_threads()
    for place, frames in iterate_frames(clips, root, params.frames_per_utterance, threads):
        if isinstance(frames, MediaError):
            faces, sampled, reason = NO_FACES, 0, str(frames)
        else:
            faces = find_faces(frames, clips[place].crop, params)
            sampled, reason = len(frames.images), "" if len(faces["box_px"]) else "no face found"
        parts[place] = {
            **faces,
            "face_utterance": np.full(len(faces["box_px"]), place),
            "frames_sampled": np.array([sampled]),
            "reason": np.array([reason]),
            "device": np.empty(0, str),
        }
    return stack(parts, NO_CLIPS) | {"device": np.array([runtime.device_name()])}


def find_faces(frames: SampledFrames, crop: str, params: FacesParams) -> Arrays:
    """Faces in one part of the sampled frames, in the frames' own numbers and coordinates."""
    # An image's size may change in the middle of a stream, and the part's corner with it.
    parts = [crop_box_px(crop, image.shape[1], image.shape[0]) for image in frames.images]
    images = [
        image[top:bottom, left:right]
        for image, (left, top, right, bottom) in zip(frames.images, parts, strict=True)
    ]
    found = _load_detector(params).detect(images)
    corner = np.array([part[:2] for part in parts], np.float32)[found.image]
    return {
        "frame_index": np.array(frames.indices)[found.image],
        "box_px": found.box_px + np.tile(corner, 2),
        "probability": found.probability,
        "landmarks_px": found.landmarks_px + corner[:, None],
        "track": link_faces(images, found.image, found.box_px),
    }


@cache
def _load_detector(params: FacesParams) -> FaceDetector:
    """One detector per process and setting."""
    prepare_torch()
    return FaceDetector(
        min_face_size_px=params.min_face_size_px,
        thresholds=params.thresholds,
        scale_factor=params.scale_factor,
        device=runtime.device(),
    )
