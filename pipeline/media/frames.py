"""Frames out of a video file.

They are numbered as they are shown, from 0, by decoding: neither the container's own count nor its
frame rate is believed.  Times are those of a player's clock, which shows 0 where the file starts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np

from pipeline.media.clips import Clip, Outcome, read_by_file
from pipeline.media.decoding import (
    WHOLE,
    MediaError,
    Span,
    decode,
    open_media,
    packets,
    start_s,
    video_stream,
)


@dataclass(frozen=True)
class SampledFrames:
    """Pictures taken evenly from a span of a video."""

    images: list[np.ndarray] = field(default_factory=list)
    """RGB uint8 [height, width, 3], upright, in order of time."""
    indices: list[int] = field(default_factory=list)
    """Number of each picture in the file, from 0."""


def sample_indices(frame_count: int, wanted: int) -> list[int]:
    """Which frames to take: floor(i * n / wanted), the paper's step of n/20 [3.3.3]; all if n is less.

    >>> sample_indices(50, 5)
    [0, 10, 20, 30, 40]
    >>> sample_indices(3, 20)
    [0, 1, 2]
    """
    if frame_count <= wanted:
        return list(range(frame_count))
    return [i * frame_count // wanted for i in range(wanted)]


def read_frames(path: Path, wanted: int, spans: Sequence[Span] = (WHOLE,)) -> list[SampledFrames]:
    """Evenly sampled frames of each span, from one pass over the file; empty where a span has none.

    Memory holds the sampled frames only.  Raises MediaError where the picture cannot be decoded.
    """
    expected_s = frame_times_s(path)
    numbers = [_sampled_numbers(expected_s, span, wanted) for span in spans]
    images, decoded_s = _pick_frames(path, {number for sampled in numbers for number in sampled})
    if len(decoded_s) != len(expected_s):
        # Packets that decode to no picture: only decoding tells which frames there are.
        numbers = [_sampled_numbers(decoded_s, span, wanted) for span in spans]
        images, _ = _pick_frames(path, {number for sampled in numbers for number in sampled})
    return [SampledFrames([images[number] for number in sampled], sampled) for sampled in numbers]


def iterate_frames(
    clips: Sequence[Clip], root: Path, wanted: int, threads: int = 0
) -> Iterator[Outcome[SampledFrames]]:
    """(place in ``clips``, its sampled frames or why there are none), file by file.

    ``threads`` decode that many files ahead.
    """

    def read(path: str, places: Sequence[int]) -> list[SampledFrames]:
        return read_frames(root / path, wanted, [clips[place].span for place in places])

    for place, outcome in read_by_file(clips, read, threads):
        if isinstance(outcome, SampledFrames) and not outcome.images:
            yield place, MediaError("no picture within the utterance")
        else:
            yield place, outcome


def frames_at(path: Path, numbers: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
    """The frames of the given numbers, in order of time; decodes no further than the last of them.

    Raises MediaError where one of them cannot be decoded.
    """
    missing = set(numbers)
    for number, frame in enumerate(islice(_decode(path), max(numbers) + 1)):
        if number in missing:
            missing.remove(number)
            yield number, to_rgb(frame)
    if missing:
        raise MediaError(f"frame {min(missing)} cannot be decoded")


def upright(image: np.ndarray, display_matrix: np.ndarray) -> np.ndarray:
    """A picture [height, width, ...] turned and mirrored in quarter turns, as its container asks.

    ``display_matrix`` holds the nine numbers of the MP4 track header (ISO 14496-12, 6.2.2): a stored
    point (x, y) is shown at (a x + c y, b x + d y).  Phones film upright scenes this way.
    """
    (a, b), (c, d) = display_matrix.reshape(3, 3)[:2, :2].tolist()
    if abs(a) + abs(d) < abs(b) + abs(c):
        image, a, d = image.swapaxes(0, 1), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def frame_times_s(path: Path) -> list[float]:
    """When each picture of a file is shown, in order, by its packets: cheap, and nearly always exact."""
    with open_media(path) as container:
        stream = video_stream(container)
        shown = [packet for packet in packets(container, stream) if packet.size and not packet.is_discard]
        times = sorted(packet.pts if packet.pts is not None else packet.dts or 0 for packet in shown)
        first_s = start_s(container, stream)
        return [first_s + float((time - times[0]) * stream.time_base) for time in times]


def _sampled_numbers(times_s: Sequence[float], span: Span, wanted: int) -> list[int]:
    """Numbers of the frames to take from a span."""
    inside = [number for number, time_s in enumerate(times_s) if span.start_s <= time_s < span.end_s]
    return [inside[place] for place in sample_indices(len(inside), wanted)]


def _pick_frames(path: Path, wanted: Collection[int]) -> tuple[dict[int, np.ndarray], list[float]]:
    """The frames of the given numbers, and the times of all frames that there are."""
    images, times_s = {}, []
    with open_media(path) as container:
        first_s = start_s(container, video_stream(container))
    for number, frame in enumerate(_decode(path)):
        times_s.append(float(frame.time or 0.0))
        if number in wanted:
            images[number] = to_rgb(frame)
    return images, [first_s + time_s - times_s[0] for time_s in times_s]


def _decode(path: Path) -> Iterator[av.VideoFrame]:
    with open_media(path) as container:
        stream = video_stream(container)
        stream.thread_count = 1  # the other cores are busy with other dialogues
        yield from decode(container, stream)


def to_rgb(frame: av.VideoFrame) -> np.ndarray:
    """RGB uint8 [height, width, 3], upright, by the colour matrix and range that the frame names."""
    image = frame.to_ndarray(format="rgb24", threads=1)
    side_data: Any = frame.side_data  # PyAV's stubs know of motion vectors only
    if "DISPLAYMATRIX" not in side_data:
        return image
    return upright(image, np.frombuffer(bytes(side_data["DISPLAYMATRIX"]), np.int32))
