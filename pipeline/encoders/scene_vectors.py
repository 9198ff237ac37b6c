"""Whole pictures of an utterance to one vector: clips of frames, embedded, and their mean [5.3]."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline import runtime
from pipeline.encoders.encoder import require_finite
from pipeline.encoders.visual.scene import FRAMES_PER_CLIP, Encoder
from pipeline.media.clips import Clip
from pipeline.media.decoding import MediaError
from pipeline.media.frames import crop_box_px, iterate_frames
from pipeline.store.h5 import Arrays


def embed_scenes(clips: Sequence[Clip], root: Path, encoder: Encoder) -> Arrays:
    """Features and reasons of all utterances of a dialogue, decoding every file once."""
    features = np.zeros((len(clips), encoder.dimension), np.float32)
    reasons = [""] * len(clips)
    wanted = encoder.params.clips_per_utterance * FRAMES_PER_CLIP
    for place, frames in iterate_frames(clips, root, wanted, runtime.decode_threads()):
        if isinstance(frames, MediaError):
            reasons[place] = str(frames)
            continue
        pictures = [encoder.shrink(_part(image, clips[place].crop)) for image in frames.images]
        features[place] = encoder.embed(cut_clips(np.stack(pictures))).mean(axis=0)
        require_finite(features[place], clips[place].path, "visual encoder")
    return {
        "features": features,
        "reason": np.array(reasons),
        "device": np.array([runtime.device_name()]),
    }


def cut_clips(pictures: np.ndarray) -> np.ndarray:
    """Pictures [n, ...] as clips [K, 16, ...], one after the other: K = n / 16, and 1 where there are fewer.

    Where n is no multiple of 16, some pictures are left out, or in a short clip shown more than once, evenly.
    """
    count = max(1, len(pictures) // FRAMES_PER_CLIP) * FRAMES_PER_CLIP
    chosen = [place * len(pictures) // count for place in range(count)]
    return pictures[chosen].reshape(-1, FRAMES_PER_CLIP, *pictures.shape[1:])


def _part(image: np.ndarray, crop: str) -> np.ndarray:
    """The part of a picture that shows the speaker, as its medium says."""
    left, top, right, bottom = crop_box_px(crop, image.shape[1], image.shape[0])
    return np.ascontiguousarray(image[top:bottom, left:right])
