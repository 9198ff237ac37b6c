"""What is heard in a file, without when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline.media.audio import Channels, read_sounds
from pipeline.media.decoding import WHOLE, Span


def read_audio(
    path: Path, sample_rate_hz: int, spans: Sequence[Span] = (WHOLE,), channels: Channels = "mix"
) -> Iterator[tuple[int, np.ndarray]]:
    """(place in ``spans``, the samples of its sound), as of ``read_sounds``."""
    for place, sound in read_sounds(path, sample_rate_hz, spans, channels):
        yield place, sound.samples
