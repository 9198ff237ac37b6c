"""Frames out of a video file.

They are numbered as they are shown, from 0, by decoding: neither the container's own count nor its
frame rate is believed.  Times are those of a player's clock, which shows 0 where the file starts.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer

from pipeline.media.clips import Clip, Outcome, read_by_file
from pipeline.media.decoding import WHOLE, Span, decode, video_stream
from pipeline.media.opening import MediaError, open_media
from pipeline.media.timeline import Timeline, read_timeline


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


def read_frames(
    path: Path, wanted: int, spans: Sequence[Span] = (WHOLE,)
) -> Iterator[tuple[int, SampledFrames]]:
    """(place in ``spans``, its evenly sampled frames, if any), as soon as it is decoded, from one pass.

    Memory holds the sampled frames of spans that overlap.  Raises MediaError where the picture cannot be
    decoded, or has no time stamps by which to find a span.
    """
    timeline = read_timeline(path)
    left = dict(enumerate(spans))
    for place, frames in _sample(path, timeline, wanted, left, expected=True):
        del left[place]
        yield place, frames
    if left:
        # Packets that decode to no picture: only decoding tells which frames there are.
        times_s = [timeline.shift_s + _time_s(frame) for frame in _decode(path)]
        yield from _sample(path, replace(timeline, pictures_s=times_s), wanted, left, expected=False)


def iterate_frames(
    clips: Sequence[Clip], root: Path, wanted: int, threads: int = 0
) -> Iterator[Outcome[SampledFrames]]:
    """(place in ``clips``, its sampled frames or why there are none), file by file.

    As many ``threads`` decode ahead.
    """

    def read(path: str, places: Sequence[int]) -> Iterator[tuple[int, SampledFrames]]:
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


def crop_box_px(crop: str, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the part of an image that ``crop`` names, see manifest.Medium.

    >>> crop_box_px("right", 720, 480)
    (360, 0, 720, 480)
    """
    fractions = {"": "0 0 1 1", "left": "0 0 0.5 1", "right": "0.5 0 1 1"}.get(crop, crop)
    left, top, right, bottom = map(float, fractions.split())
    return round(left * width), round(top * height), round(right * width), round(bottom * height)


def upright(image: np.ndarray, display_matrix: np.ndarray) -> np.ndarray:
    """A picture [height, width, ...] turned and mirrored in quarter turns, as its container asks.

    ``display_matrix`` holds the nine numbers of the MP4 track header (ISO 14496-12, 6.2.2): a stored
    point (x, y) is shown at (a x + c y, b x + d y).  Phones film upright scenes this way.
    """
    (a, b), (c, d) = display_matrix.reshape(3, 3)[:2, :2].tolist()
    if abs(a) + abs(d) < abs(b) + abs(c):
        image, a, d = image.swapaxes(0, 1), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _sample(
    path: Path, timeline: Timeline, wanted: int, spans: Mapping[int, Span], *, expected: bool
) -> Iterator[tuple[int, SampledFrames]]:
    """The frames of spans by place, in the order in which the spans end.

    Where the timeline is only expected, it ends with the first frame that is not where it should be.
    """
    times_s = timeline.pictures_s
    ending: dict[int, list[int]] = {}  # number of the last frame in a span -> places
    using: dict[int, list[int]] = {}  # number of a sampled frame -> places
    found = {place: SampledFrames() for place in spans}
    for place, span in spans.items():
        inside = _numbers_inside(times_s, span)
        ending.setdefault(inside[-1] if inside else -1, []).append(place)
        for index in sample_indices(len(inside), wanted):
            using.setdefault(inside[index], []).append(place)
    number = -1
    for number, frame in enumerate(_decode(path)):
        if expected and not _is_expected(timeline, number, timeline.shift_s + _time_s(frame)):
            return
        # A span is whole once the frame after it is where it should be.
        yield from ((place, found.pop(place)) for place in ending.pop(number - 1, ()))
        if not ending:
            return
        if number in using:
            image = to_rgb(frame)
            for place in using.pop(number):
                found[place].images.append(image)
                found[place].indices.append(number)
    if number + 1 == len(times_s):
        yield from ((place, found.pop(place)) for place in ending.pop(number, ()))


def _numbers_inside(times_s: Sequence[float], span: Span) -> list[int]:
    """Numbers of the frames in a span."""
    if span == WHOLE:
        return list(range(len(times_s)))
    if times_s and math.isnan(times_s[0]):
        raise MediaError("the picture has no time stamps by which to find the utterance")
    return [number for number, time_s in enumerate(times_s) if span.start_s <= time_s < span.end_s]


def _is_expected(timeline: Timeline, number: int, time_s: float) -> bool:
    """Whether a decoded frame belongs to the packet of its number, and not rather to one beside it."""
    times_s = timeline.pictures_s
    if number >= len(times_s):
        return False
    off_s = abs(times_s[number] - time_s)
    beside = times_s[max(0, number - 1) : number + 2]
    return not timeline.in_order or not any(abs(other_s - time_s) < off_s for other_s in beside)


def _decode(path: Path) -> Iterator[av.VideoFrame]:
    with open_media(path) as container:
        stream = video_stream(container)
        stream.thread_count = 1  # the other cores are busy with other dialogues
        yield from decode(container, stream)


def _time_s(frame: av.VideoFrame) -> float:
    return math.nan if frame.time is None else frame.time


def to_rgb(frame: av.VideoFrame) -> np.ndarray:
    """RGB uint8 [height, width, 3], upright, by the colour matrix and range that the frame names."""
    image = frame.to_ndarray(format="rgb24", threads=1)
    # Not frame.side_data: it and the frame refer to each other, and stay until Python looks for such cycles.
    side_data: Any = SideDataContainer(frame)  # type: ignore[call-arg]
    if "DISPLAYMATRIX" not in side_data:
        return image
    return upright(image, np.frombuffer(bytes(side_data["DISPLAYMATRIX"]), np.int32))
