"""Videos whose frames carry their number in the picture, in blocks that survive lossy coding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BITS = 10
BLOCK_PX = 12


def numbered_picture(number: int, width_px: int, height_px: int) -> np.ndarray:
    """Grey uint8 [height, width]: one row of blocks at the top, white where a bit of ``number`` is set."""
    picture = np.full((height_px, width_px), 90, np.uint8)
    for bit in range(BITS):
        picture[:BLOCK_PX, bit * BLOCK_PX : (bit + 1) * BLOCK_PX] = 235 if number >> bit & 1 else 16
    return picture


def number_shown(image: np.ndarray) -> int:
    """The number in an RGB picture; ValueError where the blocks are not where they belong."""
    inner = slice(3, BLOCK_PX - 3)
    blocks = [image[inner, bit * BLOCK_PX : (bit + 1) * BLOCK_PX][:, inner].mean() for bit in range(BITS)]
    if any(70 < level < 185 for level in blocks):
        raise ValueError(f"no number is written there: {blocks}")
    return sum((level > 127) << bit for bit, level in enumerate(blocks))


def write_numbered_video(
    path: Path,
    frames: int,
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    size_px: tuple[int, int] = (160, 96),
    options: Mapping[str, str] | None = None,
    times_ms: Sequence[int] | None = None,
    rate: int = 25,
    container_options: Mapping[str, str] | None = None,
    turn_degrees: int = 0,
    mirrored: bool = False,
) -> Path:
    """Write frames 0, 1, ..., frame i at ``times_ms[i]``, else at a constant rate.

    With ``turn_degrees`` or ``mirrored``, pictures are stored turned or mirrored and the container says
    how to show them upright: turned by that angle against the clock, after mirroring left to right.
    """
    with av.open(path, "w", options=dict(container_options or {})) as container:
        stream = container.add_stream(codec, rate=rate, options=dict(options or {}))
        stored = _as_stored(numbered_picture(0, *size_px), turn_degrees, mirrored)
        stream.height, stream.width = stored.shape
        stream.pix_fmt = pixel_format
        if times_ms is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if turn_degrees or mirrored:
            stream.set_display_rotation(turn_degrees, hflip=mirrored)
        for number in range(frames):
            picture = _as_stored(numbered_picture(number, *size_px), turn_degrees, mirrored)
            frame = av.VideoFrame.from_ndarray(picture, "gray")
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[number], Fraction(1, 1000)
            container.mux(stream.encode(frame.reformat(format=pixel_format)))
        container.mux(stream.encode())
    return path


def _as_stored(picture: np.ndarray, turn_degrees: int, mirrored: bool) -> np.ndarray:
    turned = np.rot90(picture, -turn_degrees // 90)
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)


def remux_from(source: Path, target: Path, start_s: float) -> Path:
    """Copy packets from the key frame at or before ``start_s``, which becomes time 0: earlier frames
    get negative times, and the container an edit list that hides them (``ffmpeg -ss ... -c copy``)."""
    with av.open(source) as given, av.open(target, "w") as container:
        stream = given.streams.video[0]
        copy = container.add_stream_from_template(stream)
        offset = round(start_s / stream.time_base)
        given.seek(offset, stream=stream)
        for packet in given.demux(stream):
            if packet.dts is None:
                continue
            packet.pts -= offset
            packet.dts -= offset
            packet.stream = copy
            container.mux(packet)
    return target
