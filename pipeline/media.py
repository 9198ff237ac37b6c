"""Pictures and sound out of a video file, by PyAV (ffmpeg's libraries)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np

HASH_BLOCK_BYTES = 1 << 20


class MediaError(Exception):
    """A file, or one of its streams, that cannot be used; the message is the reason, in a few words."""


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
    """Pictures taken evenly from a video."""

    images: list[np.ndarray]
    """RGB uint8 [height, width, 3], in order of time."""
    indices: list[int]
    """Number of each picture in the video, from 0."""


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


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def probe(path: Path) -> Probe:
    """What a file contains; a file that cannot be opened has the reason as both its problems."""
    if not path.exists():
        return Probe(picture_problem="clip missing", sound_problem="clip missing")
    try:
        with _open(path) as container:
            duration_s = round(container.duration / av.time_base, 6) if container.duration else 0.0
            picture, sound = _first(container.streams.video), _first(container.streams.audio)
            return Probe(
                duration_s=duration_s,
                frame_count=_count_frames(path) if picture else 0,
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


def read_frames(path: Path, wanted: int) -> SampledFrames:
    """Evenly sampled frames of a whole file, decoded front to back; memory holds those frames only.

    Raises MediaError where there is no picture or it cannot be decoded.
    """
    expected = _count_frames(path)
    images, decoded = _pick_frames(path, sample_indices(expected, wanted))
    if decoded != expected:
        # Packets that decode to no picture: only decoding tells their number.
        images, decoded = _pick_frames(path, sample_indices(decoded, wanted))
    if not images:
        raise MediaError("no picture could be decoded")
    return SampledFrames(images, sample_indices(decoded, wanted))


def read_frames_at(path: Path, indices: Collection[int]) -> list[np.ndarray]:
    """The frames of the given numbers, in order of time; decodes no further than the last of them.

    Raises MediaError where one of them cannot be decoded.
    """
    wanted, last = set(indices), max(indices)
    frames = islice(_decode(path), last + 1)
    images = [frame.to_ndarray(format="rgb24") for number, frame in enumerate(frames) if number in wanted]
    if len(images) != len(wanted):
        raise MediaError(f"frame {last} cannot be decoded")
    return images


def read_sound(path: Path, sample_rate_hz: int) -> np.ndarray:
    """The sound as float32 [samples], mono, in [-1, 1].

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
    return np.concatenate([block.to_ndarray()[0] for block in blocks])


def _open(path: Path) -> av.container.InputContainer:
    try:
        return av.open(path)
    except FileNotFoundError:
        raise MediaError("clip missing") from None
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"cannot be opened: {_words(error)}") from error


def _first(streams: Sequence[Any]) -> Any:
    return streams[0] if streams else None


def _count_frames(path: Path) -> int:
    """Pictures in a file by its packets: cheap, and exact where a container's own count lies."""
    with _open(path) as container:
        stream = _first(container.streams.video)
        if stream is None:
            raise MediaError("no picture")
        try:
            return sum(1 for packet in container.demux(stream) if packet.size and not packet.is_discard)
        except av.FFmpegError as error:
            raise MediaError(f"picture cannot be read: {_words(error)}") from error


def _pick_frames(path: Path, indices: Collection[int]) -> tuple[list[np.ndarray], int]:
    """The frames of the given numbers, and how many frames there are in all."""
    wanted, images, decoded = set(indices), [], 0
    for decoded, frame in enumerate(_decode(path), start=1):
        if decoded - 1 in wanted:
            images.append(frame.to_ndarray(format="rgb24"))
    return images, decoded


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
