"""Media in which each second tells which it is, by the tone that is heard and the grey that is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE_HZ = 16000
FRAMES_PER_S = 25
BLOCKS_PER_S = 50


def tone(second: int, rate_hz: int = RATE_HZ) -> np.ndarray:
    """A second of 200 + 100 * ``second`` Hz, float32 [rate_hz]."""
    return (0.5 * np.sin(2 * np.pi * (200 + 100 * second) * np.arange(rate_hz) / rate_hz)).astype(np.float32)


def second_heard(samples: np.ndarray) -> int | None:
    """The second whose tone is loudest in mono sound at RATE_HZ, None for silence."""
    if np.abs(samples).max(initial=0) < 1e-3:
        return None
    loudest_hz = np.abs(np.fft.rfft(samples)).argmax() * RATE_HZ / len(samples)
    return round((loudest_hz - 200) / 100)


def grey(second: int) -> np.ndarray:
    """RGB uint8 [48, 64, 3]."""
    return np.full((48, 64, 3), 20 + 10 * second, np.uint8)


def second_shown(image: np.ndarray) -> int:
    """The second whose grey a picture has."""
    return round((float(image.mean()) - 20) / 10)


def write_seconds(
    path: Path,
    seconds: Sequence[int],
    *,
    picture: str = "",
    sound: str = "",
    rate_hz: int = RATE_HZ,
    start_s: int = 0,
    options: Mapping[str, str] | None = None,
    change: Callable[[av.Packet], av.Packet | None] = lambda packet: packet,
) -> Path:
    """Write these seconds one after the other, with picture and sound by these codecs.

    ``change`` gets every packet of the sound, and gives what is written in its place, if anything.
    """
    with av.open(path, "w", options=dict(options or {})) as container:
        tracks: list[Any] = []
        if picture:
            tracks.append(container.add_stream(picture, rate=FRAMES_PER_S, width=64, height=48))
        if sound:
            tracks.append(container.add_stream(sound, rate=rate_hz, layout="mono"))
        for place, second in [*enumerate(seconds, start=start_s), (None, None)]:
            for track in tracks:
                frames = [None] if place is None else _frames(track.type, place, second, rate_hz)
                packets = [packet for frame in frames for packet in track.encode(frame)]
                if track.type == "audio":
                    packets = [new for packet in packets if (new := change(packet)) is not None]
                container.mux(packets)
    return path


def _frames(kind: str, place: int, second: int, rate_hz: int) -> list[Any]:
    """The pictures or the sound of a second, at this place."""
    if kind == "video":
        frames = [av.VideoFrame.from_ndarray(grey(second), "rgb24") for _ in range(FRAMES_PER_S)]
        rate = FRAMES_PER_S
    else:
        # Small ones, for encoders that make a packet of whatever they get.
        blocks = np.split(tone(second, rate_hz), BLOCKS_PER_S)
        frames = [av.AudioFrame.from_ndarray(block[None], "fltp", "mono") for block in blocks]
        rate = rate_hz
    for number, frame in enumerate(frames):
        frame.pts, frame.time_base = place * rate + number * rate // len(frames), Fraction(1, rate)
        if kind == "audio":
            frame.sample_rate = rate_hz
    return frames
