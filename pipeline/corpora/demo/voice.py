"""The sound of the demo corpus: espeak-ng's speech, coloured by speaker and emotion.

Which way each emotion bends pitch, range, rate and loudness follows Scherer, "Vocal communication of
emotion" (Speech Communication 40, 2003): anger, joy and fear high and loud or fast, sadness low, slow, soft.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

import numpy as np

from pipeline.corpora.demo import espeak
from pipeline.corpora.demo.script import FRAME_RATE_HZ, DemoUtterance

SAMPLE_RATE_HZ = 48_000
SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FRAME_RATE_HZ
MIN_DURATION_S = 1.2

_LEAD_IN_S = 0.16
_TAIL_S = 0.2
_ROOM_NOISE_DBFS = -60.0


@dataclass(frozen=True)
class Voice:
    """A speaker's voice: espeak-ng's voice, an offset on its pitch (0-99), the place between the ears."""

    name: str
    pitch: int
    pan: float


@dataclass(frozen=True)
class Prosody:
    """How an emotion sounds."""

    pitch: int
    """Offset on espeak-ng's pitch (0-99)."""
    pitch_range: int
    """espeak-ng's pitch range (0-99)."""
    rate_wpm: int
    loudness_dbfs: float
    """Root mean square of the speech."""
    tilt: float
    """Coefficient of a one-pole filter at 48 kHz: above 0 dull, below 0 sharp."""
    tremor: float = 0.0
    """Depth of a 7 Hz amplitude modulation."""


VOICES = {
    "Alma": Voice("en-us+f2", 48, -0.3),
    "Bruno": Voice("en-us+m3", 40, 0.3),
    "Chen": Voice("en-us+f4", 38, 0.1),
    "Dalia": Voice("en-us+f1", 55, -0.1),
    "Emeka": Voice("en-us+m1", 32, 0.2),
    "Freya": Voice("en-us+f3", 60, -0.2),
}

PROSODIES = {
    "neutral": Prosody(0, 40, 180, -24.0, 0.0),
    "joy": Prosody(14, 85, 190, -20.0, -0.3),
    "anger": Prosody(20, 75, 205, -16.0, -0.6),
    "surprise": Prosody(28, 99, 175, -19.0, -0.2),
    "sadness": Prosody(-22, 15, 130, -31.0, 0.8),
    "fear": Prosody(34, 35, 215, -22.0, 0.2, tremor=0.5),
    "disgust": Prosody(-12, 60, 150, -24.0, 0.5),
}


def speak(text: str, speaker: str, emotion: str) -> np.ndarray:
    """A line as float32 [samples] at 48 kHz, full scale 1: the same for the same arguments, always."""
    voice, prosody = VOICES[speaker], PROSODIES[emotion]
    request = {
        "text": text.replace("’", "'"),
        "voice": voice.name,
        "rate_wpm": prosody.rate_wpm,
        "pitch": int(np.clip(voice.pitch + prosody.pitch, 0, 99)),
        "pitch_range": prosody.pitch_range,
    }
    done = subprocess.run(
        [sys.executable, "-P", espeak.__file__], input=json.dumps(request).encode(), capture_output=True
    )
    if done.returncode != 0 or not done.stdout:
        raise RuntimeError(f"espeak-ng failed on {request}: {done.stderr.decode().strip()}")
    speech = _tilt_and_resample(np.frombuffer(done.stdout, "<i2") / 2**15, prosody.tilt)
    time_s = np.arange(len(speech)) / SAMPLE_RATE_HZ
    speech *= 1 - prosody.tremor * (0.5 + 0.5 * np.sin(2 * np.pi * 7 * time_s))
    speech *= _amplitude(prosody.loudness_dbfs) / np.sqrt(np.mean(speech**2))
    # A soft limit instead of clipping: angry peaks reach full scale.
    return np.tanh(speech).astype(np.float32)


def _tilt_and_resample(speech: np.ndarray, tilt: float) -> np.ndarray:
    """From espeak-ng's rate to 48 kHz, through the filter 1 / (1 - tilt z^-1), by Fourier transform."""
    spectrum = np.fft.rfft(speech)
    frequency_hz = np.fft.rfftfreq(len(speech), 1 / espeak.SAMPLE_RATE_HZ)
    spectrum /= 1 - tilt * np.exp(-2j * np.pi * frequency_hz / SAMPLE_RATE_HZ)
    # 48000 / 22050; what the rounding to whole samples does to the pitch, nobody hears.
    return np.fft.irfft(spectrum, round(len(speech) * SAMPLE_RATE_HZ / espeak.SAMPLE_RATE_HZ))


def sound_track(utterance: DemoUtterance) -> tuple[np.ndarray, np.ndarray]:
    """The clip's sound and how wide the mouth is open.

    Returns int16 [samples, 2] at 48 kHz, a whole number of frames long, and float32 [frames] in 0..1.
    """
    speech = speak(utterance.text, utterance.speaker, utterance.emotion)
    lead_in = int(_LEAD_IN_S * SAMPLE_RATE_HZ)
    length = max(lead_in + len(speech) + int(_TAIL_S * SAMPLE_RATE_HZ), int(MIN_DURATION_S * SAMPLE_RATE_HZ))
    frames = -(-length // SAMPLES_PER_FRAME)
    mono = np.zeros(frames * SAMPLES_PER_FRAME, np.float32)
    mono[lead_in : lead_in + len(speech)] = speech

    pan = VOICES[utterance.speaker].pan
    noise = utterance.rng().standard_normal((len(mono), 2)) * _amplitude(_ROOM_NOISE_DBFS)
    stereo = mono[:, None] * np.array([1 - max(pan, 0), 1 + min(pan, 0)]) + noise
    if utterance.fault == "silent":
        stereo[:] = 0
    return np.round(np.clip(stereo, -1, 1) * (2**15 - 1)).astype(np.int16), _mouth_opening(mono, frames)


def _mouth_opening(mono: np.ndarray, frames: int) -> np.ndarray:
    """The loudness of each frame relative to the clip's loudest, a little smoothed: float32 [frames]."""
    loudness = np.sqrt(np.mean(mono.reshape(frames, SAMPLES_PER_FRAME) ** 2, axis=1))
    opening = np.convolve(np.sqrt(loudness / loudness.max()), [0.2, 0.6, 0.2], mode="same")
    return opening.astype(np.float32)


def _amplitude(dbfs: float) -> float:
    return float(10 ** (dbfs / 20))
