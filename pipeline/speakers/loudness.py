"""How loud an utterance is from moment to moment: what a mouth that speaks moves with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.media.audio import iterate_sounds
from pipeline.media.clips import Clip, Outcome
from pipeline.media.decoding import MediaError

SAMPLE_RATE_HZ = 16_000
STEP_S = 0.01
_RANGE_DB = 40.0
"""What is this far below the loudest counts as silence."""
_SMOOTHED_S = 0.04  # standard deviation, about a frame
_CHANGE_SMOOTHED_S = 0.02


@dataclass(frozen=True)
class FilmedClip:
    """An utterance's frames, and its sound."""

    image: Clip
    sound: Clip

    @property
    def sound_apart(self) -> bool:
        """Whether the sound has a file of its own, which starts with the utterance."""
        return self.sound.path != self.image.path


@dataclass(frozen=True)
class Loudness:
    """The level over time."""

    start_s: float
    """When it begins, on the clock of the picture."""
    level_db: np.ndarray
    """float64 [n], every 10 ms: of full scale, smoothed over a frame, and at least the loudest less 40."""

    def change_at(self, times_s: np.ndarray) -> np.ndarray:
        """How fast the level rises or falls at these times, in dB per step; 0 outside of the sound."""
        if len(self.level_db) < 2:
            return np.zeros(len(times_s))
        change = _smooth(np.abs(np.gradient(self.level_db)), _CHANGE_SMOOTHED_S)
        own_s = self.start_s + STEP_S * (np.arange(len(change)) + 0.5)
        return np.interp(times_s, own_s, change, left=0.0, right=0.0)


def iterate_loudness(clips: Sequence[FilmedClip], root: Path) -> Iterator[Outcome[Loudness]]:
    """(place in ``clips``, its loudness or why there is none), file by file.

    Of 5.1 the front centre alone is heard, which is mostly speech.
    """
    sounds = [clip.sound for clip in clips]
    for place, sound in iterate_sounds(sounds, root, SAMPLE_RATE_HZ, "centre"):
        if isinstance(sound, MediaError):
            yield place, sound
            continue
        clip = clips[place]
        origin_s = clip.image.span.start_s if clip.sound_apart else 0.0
        yield place, measure(sound.samples, origin_s + sound.start_s)


def measure(samples: np.ndarray, starts_s: float) -> Loudness:
    """The loudness of mono samples float32 [n] at 16 kHz."""
    step = round(SAMPLE_RATE_HZ * STEP_S)
    count = len(samples) // step
    power = np.mean(samples[: count * step].reshape(count, step).astype(np.float64) ** 2, axis=1)
    level_db = 10 * np.log10(np.maximum(power, 1e-10))
    if count:
        level_db = _smooth(np.maximum(level_db, np.percentile(level_db, 99) - _RANGE_DB), _SMOOTHED_S)
    return Loudness(starts_s, level_db)


def _smooth(values: np.ndarray, deviation_s: float) -> np.ndarray:
    """By a Gaussian of this standard deviation; the ends are taken to go on."""
    deviation = deviation_s / STEP_S
    reach = int(3 * deviation) + 1
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * deviation**2))
    return np.convolve(np.pad(values, reach, mode="edge"), weights / weights.sum(), mode="valid")
