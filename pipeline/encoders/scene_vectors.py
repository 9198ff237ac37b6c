"""Whole frames of an utterance to one vector [5.3]."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline import runtime
from pipeline.encoders.encoder import require_finite
from pipeline.encoders.visual import FrameEncoder
from pipeline.media.clips import Clip
from pipeline.media.decoding import MediaError
from pipeline.media.frames import crop_box_px, iterate_frames
from pipeline.store.h5 import Arrays


def embed_scenes(clips: Sequence[Clip], root: Path, encoder: FrameEncoder) -> Arrays:
    """Features and reasons of all utterances of a dialogue, decoding every file once.

    UserError, naming the utterance, if the encoder gives numbers that are not finite.
    """
    features = np.zeros((len(clips), encoder.dimension), np.float32)
    reasons = [""] * len(clips)
    wanted = encoder.frames_per_utterance
    for place, frames in iterate_frames(clips, root, wanted, runtime.decode_threads()):
        if isinstance(frames, MediaError):
            reasons[place] = str(frames)
            continue
        kept = [encoder.shrink(_part(image, clips[place].crop)) for image in frames.images]
        features[place] = encoder.embed(np.stack(kept))
        require_finite(features[place], clips[place].utterance, "visual encoder")
    return {
        "features": features,
        "reason": np.array(reasons),
        "device": np.array([runtime.device_name()]),
    }


def _part(image: np.ndarray, crop: str) -> np.ndarray:
    """The part of a picture that shows the speaker, as its medium says."""
    left, top, right, bottom = crop_box_px(crop, image.shape[1], image.shape[0])
    return np.ascontiguousarray(image[top:bottom, left:right])
