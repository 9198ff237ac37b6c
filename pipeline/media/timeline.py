"""What a file's packets say of time, without decoding them: cheap, and nearly always exact."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import av

from pipeline.media.clock import origin_s, stamp, start_s
from pipeline.media.decoding import packets, used_streams
from pipeline.media.opening import open_media


@dataclass(frozen=True)
class Timeline:
    """Times of a file's picture and sound, in seconds from the start of the file."""

    pictures_s: list[float]
    """When each picture is shown, in order; all NaN where the file has no time stamps."""
    shift_s: float
    """What is to be added to the time stamp of a picture."""
    in_order: bool
    """Whether decoded pictures come in the order of their stamps: not so for H.264 in AVI, which has stamps
    of decoding only."""
    end_s: float
    """When picture and sound are over, as measured: containers estimate, or count from another start."""


def read_timeline(path: Path) -> Timeline:
    """The times of the picture and sound that are used of a file; it may lack either."""
    with open_media(path) as container:
        picture = next((stream for stream in used_streams(container) if stream.type == "video"), None)
        stamps: list[int | None] = []
        last_s = first_s = origin_s(container)
        for packet in packets(container):
            if not packet.size or packet.is_discard:
                continue
            shown = stamp(packet)
            duration: float = packet.duration or 0
            if picture is not None and packet.stream_index == picture.index:
                stamps.append(shown)
                duration = duration or _frame_duration(picture)
            if shown is not None:
                last_s = max(last_s, (shown + duration) * float(packet.time_base))
        pictures_s, shift_s = _seconds(stamps, container, picture)
        return Timeline(pictures_s, shift_s, _in_order(stamps, picture), last_s - first_s)


def _frame_duration(picture: Any) -> float:
    return float(1 / (picture.average_rate * picture.time_base)) if picture.average_rate else 0.0


def _seconds(
    stamps: list[int | None], container: av.container.InputContainer, picture: Any
) -> tuple[list[float], float]:
    """The times of all pictures in order, and what is to be added to a stamp in seconds."""
    known = [shown for shown in stamps if shown is not None]
    if not known:
        return [math.nan] * len(stamps), math.nan
    first, first_s = min(known), start_s(container, picture)
    last, filled = known[0], []
    for shown in stamps:
        last = last if shown is None else shown
        filled.append(last)
    shift_s = first_s - float(first * picture.time_base)
    return [first_s + float((shown - first) * picture.time_base) for shown in sorted(filled)], shift_s


def _in_order(stamps: list[int | None], picture: Any) -> bool:
    """False where pictures are stored in another order than shown, and stamps follow the storage."""
    known = [shown for shown in stamps if shown is not None]
    return bool(picture) and (
        not picture.codec_context.has_b_frames or any(b < a for a, b in pairwise(known))
    )
