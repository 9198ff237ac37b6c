"""Sound to one vector per utterance [3.3.2]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeGuard

import numpy as np

from pipeline import runtime
from pipeline.encoders.audio import SAMPLE_RATE_HZ, AudioEncoder, BatchEncoder
from pipeline.encoders.encoder import runs_network
from pipeline.media.audio import Channels, iterate_sounds
from pipeline.media.clips import Clip
from pipeline.media.decoding import MediaError
from pipeline.store.h5 import Arrays

# Of a dialogue's sound, so much is held for clips of one length to be embedded together; 19 MB.
HELD_S = 300.0


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
    held_s = HELD_S if _embeds_together(encoder) else 0.0
    held: dict[int, np.ndarray] = {}

    def describe_held() -> None:
        for place, found in zip(held, describe_sounds([*held.values()], encoder, silence_dbfs), strict=True):
            if isinstance(found, MediaError):
                reasons[place] = str(found)
            else:
                features[place] = found
        held.clear()

    for place, sound in iterate_sounds(clips, root, SAMPLE_RATE_HZ, channels):
        if isinstance(sound, MediaError):
            reasons[place] = str(sound)
            continue
        held[place] = sound.samples
        if sum(map(len, held.values())) >= held_s * SAMPLE_RATE_HZ:
            describe_held()
    describe_held()
    device = {"device": np.array([runtime.device_name()])} if runs_network(encoder) else {}
    return {"features": features, "reason": np.array(reasons), **device}


def describe_sounds(
    sounds: Sequence[np.ndarray], encoder: AudioEncoder, silence_dbfs: float
) -> list[np.ndarray | MediaError]:
    """Of each sound, mono samples float32 [n], its vector, float32 [D], or why it has none.

    It has none where it says nothing: silent, too short, or without a finite vector.
    """
    reasons = [_why_unheard(samples, silence_dbfs) for samples in sounds]
    heard = [samples for samples, reason in zip(sounds, reasons, strict=True) if reason is None]
    vectors = iter(_embed(heard, encoder))
    return [next(vectors) if reason is None else reason for reason in reasons]


def _why_unheard(samples: np.ndarray, silence_dbfs: float) -> MediaError | None:
    if not np.isfinite(samples).all():  # a wav of floats can hold NaN, which encoders take for a sound
        return MediaError("sound holds values that are no finite numbers")
    loudest = float(np.abs(samples).max(initial=0.0))
    return MediaError("silent") if loudest < 10 ** (silence_dbfs / 20) else None


def _embed(sounds: Sequence[np.ndarray], encoder: AudioEncoder) -> Iterator[np.ndarray | MediaError]:
    if _embeds_together(encoder):
        vectors = encoder.embed_together(sounds)
    else:
        vectors = [_embed_alone(samples, encoder) for samples in sounds]
    for vector in vectors:
        if isinstance(vector, MediaError) or np.isfinite(vector).all():
            yield vector
        else:
            yield MediaError("the encoder gives numbers that are not finite")


def _embed_alone(samples: np.ndarray, encoder: AudioEncoder) -> np.ndarray | MediaError:
    try:
        return encoder.embed(samples)
    except MediaError as error:
        return error


def _embeds_together(encoder: AudioEncoder) -> TypeGuard[BatchEncoder]:
    return hasattr(encoder, "embed_together") and runtime.shares_passes()
