"""Every frame of a part of a video, without its colours: what motion is measured in."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from av.sidedata.sidedata import SideDataContainer

from pipeline.media.decoding import decode, video_stream
from pipeline.media.frames import upright
from pipeline.media.opening import MediaError, open_media
from pipeline.media.timeline import read_timeline

# Formats whose first plane is the luma, in bytes: nothing is to be converted.
_LUMA_FIRST = {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray"}


class LumaFrame(NamedTuple):
    """A frame's brightness."""

    number: int
    """In the file, from 0, as frames are counted everywhere here."""
    time_s: float
    """When it is shown, on a player's clock; NaN where the file has no time stamps."""
    luma: np.ndarray
    """uint8 [height, width], upright."""


def luma_at(path: Path, numbers: Collection[int]) -> Iterator[LumaFrame]:
    """The frames of the given numbers, in order of time; decodes no further than the last of them.

    Raises MediaError where one of them cannot be decoded.
    """
    missing = set(numbers)
    shift_s = read_timeline(path).shift_s
    with open_media(path) as container:
        stream = video_stream(container)
        stream.thread_count = 1  # the other cores are busy with other dialogues
        for number, frame in enumerate(islice(decode(container, stream), max(numbers) + 1)):
            if number in missing:
                missing.remove(number)
                time_s = math.nan if frame.time is None else shift_s + frame.time
                yield LumaFrame(number, time_s, _to_luma(frame))
    if missing:
        raise MediaError(f"frame {min(missing)} cannot be decoded")


def _to_luma(frame: Any) -> np.ndarray:
    if frame.format.name in _LUMA_FIRST:
        plane = frame.planes[0]
        image = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]
    else:
        image = frame.to_ndarray(format="gray", threads=1)
    side_data: Any = SideDataContainer(frame)  # type: ignore[call-arg] # as in frames.to_rgb
    if "DISPLAYMATRIX" not in side_data:
        return image
    return upright(image, np.frombuffer(bytes(side_data["DISPLAYMATRIX"]), np.int32))
