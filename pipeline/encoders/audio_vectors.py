"""Sound to one vector per utterance [3.3.2]."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline import runtime
from pipeline.encoders.audio import SAMPLE_RATE_HZ, AudioEncoder
from pipeline.encoders.encoder import runs_network
from pipeline.media.audio import Channels, iterate_audio
from pipeline.media.clips import Clip
from pipeline.media.decoding import MediaError
from pipeline.store.h5 import Arrays


def describe_audio_of_dialogue(
    clips: Sequence[Clip],
    root: Path,
    encoder: AudioEncoder,
    silence_dbfs: float,
    channels: Channels = "mix",
) -> Arrays:
    """Features and reasons of all clips of a dialogue, and the device where a network computes."""
    features = np.zeros((len(clips), encoder.dimension), np.float32)
    reasons = [""] * len(clips)
    for place, samples in iterate_audio(clips, root, SAMPLE_RATE_HZ, channels):
        try:
            if isinstance(samples, MediaError):
                raise samples
            features[place] = describe_audio(samples, encoder, silence_dbfs)
        except MediaError as error:
            reasons[place] = str(error)
    device = {"device": np.array([runtime.device_name()])} if runs_network(encoder) else {}
    return {"features": features, "reason": np.array(reasons), **device}


def describe_audio(samples: np.ndarray, encoder: AudioEncoder, silence_dbfs: float) -> np.ndarray:
    """One vector, float32 [D], of mono samples float32 [n].

    Raises MediaError for sound that says nothing: silent, too short, or without a finite vector.
    """
    if not np.isfinite(samples).all():  # a wav of floats can hold NaN, which encoders take for a sound
        raise MediaError("sound holds values that are no finite numbers")
    loudest = float(np.abs(samples).max(initial=0.0))
    if loudest < 10 ** (silence_dbfs / 20):
        raise MediaError("silent")
    vector = encoder.embed(samples)
    if not np.isfinite(vector).all():
        raise MediaError("the encoder gives numbers that are not finite")
    return vector
