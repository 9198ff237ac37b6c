"""Pictures and sound out of a video file, by PyAV (ffmpeg's libraries)."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from pipeline.errors import UserError


class MediaError(Exception):
    """A file, or one of its streams, that cannot be used; the message is the reason, in a few words."""


class UnreachableFileError(UserError):
    """A file that could not be read at all: not there, no permission, a disk that is gone."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path}: {reason}, though it was there when the manifest was made; run dvc repro again"
        )


class Span(NamedTuple):
    """Part of a file, in seconds from the start of its stream; the end is not part of it."""

    start_s: float = 0.0
    end_s: float = math.inf


WHOLE = Span()


@dataclass(frozen=True)
class Probe:
    """What a media file contains, by its container and the first picture."""

    duration_s: float = 0.0
    frame_count: int = 0
    frame_rate_hz: float = 0.0
    width_px: int = 0
    height_px: int = 0
    sample_rate_hz: int = 0
    channels: int = 0
    picture_problem: str = ""
    sound_problem: str = ""


@dataclass(frozen=True)
class SampledFrames:
    """Pictures taken evenly from a span of a video."""

    images: list[np.ndarray] = field(default_factory=list)
    """RGB uint8 [height, width, 3], in order of time."""
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


def probe(path: Path) -> Probe:
    """What a file contains; a file that cannot be opened has the reason as both its problems."""
    try:
        with _open(path) as container:
            picture, sound = _first(container.streams.video), _first(container.streams.audio)
            return Probe(
                duration_s=round(container.duration / av.time_base, 6) if container.duration else 0.0,
                frame_count=len(_frame_times_s(path)) if picture else 0,
                frame_rate_hz=round(float(picture.average_rate or 0), 6) if picture else 0.0,
                width_px=picture.width if picture else 0,
                height_px=picture.height if picture else 0,
                sample_rate_hz=sound.sample_rate if sound else 0,
                channels=sound.channels if sound else 0,
                picture_problem=_first_frame_problem(container, picture),
                sound_problem="" if sound else "no sound track",
            )
    except MediaError as error:
        return Probe(picture_problem=str(error), sound_problem=str(error))


def read_frames(path: Path, wanted: int, spans: Sequence[Span] = (WHOLE,)) -> list[SampledFrames]:
    """Evenly sampled frames of each span, from one pass over the file; empty where a span has none.

    Memory holds the sampled frames only.  Raises MediaError where the picture cannot be decoded.
    """
    expected_s = _frame_times_s(path)
    numbers = [_sampled_numbers(expected_s, span, wanted) for span in spans]
    images, decoded_s = _pick_frames(path, {number for sampled in numbers for number in sampled})
    if len(decoded_s) != len(expected_s):
        # Packets that decode to no picture: only decoding tells which frames there are.
        numbers = [_sampled_numbers(decoded_s, span, wanted) for span in spans]
        images, _ = _pick_frames(path, {number for sampled in numbers for number in sampled})
    return [SampledFrames([images[number] for number in sampled], sampled) for sampled in numbers]


def frames_at(path: Path, numbers: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
    """The frames of the given numbers, in order of time; decodes no further than the last of them.

    Raises MediaError where one of them cannot be decoded.
    """
    missing = set(numbers)
    for number, frame in enumerate(islice(_decode(path), max(numbers) + 1)):
        if number in missing:
            missing.remove(number)
            yield number, frame.to_ndarray(format="rgb24")
    if missing:
        raise MediaError(f"frame {min(missing)} cannot be decoded")


def read_sound(path: Path, sample_rate_hz: int, spans: Sequence[Span] = (WHOLE,)) -> list[np.ndarray]:
    """The sound of each span as float32 [samples], mono, in [-1, 1], from one pass over the file.

    Channels are mixed and the rate is changed by libswresample with its default matrix and filter.
    Raises MediaError where there is no sound track or it cannot be decoded.
    """
    with _open(path) as container:
        stream = _first(container.streams.audio)
        if stream is None:
            raise MediaError("no sound track")
        resampler = av.AudioResampler(format="flt", layout="mono", rate=sample_rate_hz)
        try:
            blocks = [block for frame in container.decode(stream) for block in resampler.resample(frame)]
            blocks += resampler.resample(None)
        except (av.FFmpegError, ValueError) as error:
            raise MediaError(f"sound cannot be decoded: {_words(error)}") from error
    if not blocks:
        raise MediaError("the sound track is empty")
    samples = np.concatenate([block.to_ndarray()[0] for block in blocks])
    return [samples[slice(*_sample_range(span, sample_rate_hz, len(samples)))] for span in spans]


def _open(path: Path) -> av.container.InputContainer:
    try:
        return av.open(path)
    except av.InvalidDataError as error:
        raise MediaError(f"cannot be opened: {_words(error)}") from error
    except OSError as error:
        # A clip that is not there or cannot be reached says nothing about the clip.
        raise UnreachableFileError(path, _words(error)) from error
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(f"cannot be opened: {_words(error)}") from error


def _first(streams: Sequence[Any]) -> Any:
    return streams[0] if streams else None


def _frame_times_s(path: Path) -> list[float]:
    """When each picture of a file is shown, in order, by its packets: cheap, and exact where a
    container's own count lies."""
    with _open(path) as container:
        stream = _first(container.streams.video)
        if stream is None:
            raise MediaError("no picture")
        try:
            packets = [packet for packet in container.demux(stream) if packet.size and not packet.is_discard]
        except av.FFmpegError as error:
            raise MediaError(f"picture cannot be read: {_words(error)}") from error
        times = sorted(packet.pts if packet.pts is not None else packet.dts or 0 for packet in packets)
        return [float((time - (stream.start_time or 0)) * stream.time_base) for time in times]


def _sampled_numbers(times_s: Sequence[float], span: Span, wanted: int) -> list[int]:
    """Numbers of the frames to take from a span."""
    inside = [number for number, time_s in enumerate(times_s) if span.start_s <= time_s < span.end_s]
    return [inside[place] for place in sample_indices(len(inside), wanted)]


def _sample_range(span: Span, sample_rate_hz: int, samples: int) -> tuple[int, int]:
    start = round(span.start_s * sample_rate_hz)
    return start, samples if math.isinf(span.end_s) else round(span.end_s * sample_rate_hz)


def _pick_frames(path: Path, wanted: Collection[int]) -> tuple[dict[int, np.ndarray], list[float]]:
    """The frames of the given numbers, and the times of all frames that there are."""
    images, times_s = {}, []
    for number, frame in enumerate(_decode(path)):
        times_s.append(float(frame.time or 0.0))
        if number in wanted:
            images[number] = frame.to_ndarray(format="rgb24")
    first_s = times_s[0] if times_s else 0.0
    return images, [time_s - first_s for time_s in times_s]


def _decode(path: Path) -> Iterator[av.VideoFrame]:
    with _open(path) as container:
        stream = _first(container.streams.video)
        if stream is None:
            raise MediaError("no picture")
        stream.thread_count = 1  # the other cores are busy with other dialogues
        try:
            yield from container.decode(stream)
        except av.FFmpegError as error:
            raise MediaError(f"picture cannot be decoded: {_words(error)}") from error


def _first_frame_problem(container: av.container.InputContainer, stream: Any) -> str:
    if stream is None:
        return "no picture"
    try:
        return "" if next(container.decode(stream), None) else "no picture could be decoded"
    except av.FFmpegError as error:
        return f"picture cannot be decoded: {_words(error)}"


def _words(error: Exception) -> str:
    """ffmpeg's own words, without the number and the path, which differs between machines."""
    return getattr(error, "strerror", None) or type(error).__name__
