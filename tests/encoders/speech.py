"""Sound to describe: mono float32 [n] at 16 kHz."""

from __future__ import annotations

import numpy as np


def hum(seconds: float) -> np.ndarray:
    """Something like a voice: a gliding pitch with harmonics, in bursts, over a little noise."""
    time_s = np.arange(round(16000 * seconds)) / 16000
    phase = 2 * np.pi * np.cumsum(120 + 40 * np.sin(2 * np.pi * 0.7 * time_s)) / 16000
    voice = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 20))
    bursts = 0.55 + 0.45 * np.sin(2 * np.pi * 3 * time_s)
    return (0.2 * bursts * voice + 0.003 * noise(len(time_s))).astype(np.float32)


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, samples).astype(np.float32)
