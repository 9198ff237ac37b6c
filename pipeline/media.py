"""Pictures and sound out of a video file.

Pictures are numbered as they are shown, from 0, by decoding: neither the container's own count nor
its frame rate is believed.  Times are those of a player's clock, which shows 0 where the file starts.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from pipeline.decoding import MediaError as MediaError
from pipeline.decoding import UnreachableFileError as UnreachableFileError
from pipeline.decoding import decode, open_media, packets, picture_stream, sound_stream, start_s


class Span(NamedTuple):
    """Part of a file, in seconds from its start; the end is not part of it."""

    start_s: float = 0.0
    end_s: float = math.inf


WHOLE = Span()
MOST_MIXED_CHANNELS = 8  # ffmpeg has a usual order for up to as many


@dataclass(frozen=True)
class Probe:
    """What a media file contains, by its container and the first picture."""

    duration_s: float = 0.0
    frame_count: int = 0
    frame_rate_hz: float = 0.0
    width_px: int = 0
    """Of the upright picture."""
    height_px: int = 0
    sample_rate_hz: int = 0
    channels: int = 0
    picture_problem: str = ""
    sound_problem: str = ""


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


def probe(path: Path) -> Probe:
    """What a file contains; a file that cannot be opened has the reason as both its problems."""
    try:
        with open_media(path) as container:
            found: dict[str, Any] = {
                "duration_s": round(container.duration / av.time_base, 6) if container.duration else 0.0
            }
            try:
                picture = picture_stream(container)
                found["frame_rate_hz"] = round(float(picture.average_rate or 0), 6)
                found["height_px"], found["width_px"] = _to_rgb(next(decode(container, picture))).shape[:2]
                found["frame_count"] = len(_frame_times_s(path))
            except MediaError as error:
                found["picture_problem"] = str(error)
            try:
                sound = sound_stream(container)
                found |= {"sample_rate_hz": sound.sample_rate, "channels": sound.channels}
            except MediaError as error:
                found["sound_problem"] = str(error)
            return Probe(**found)
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
            yield number, _to_rgb(frame)
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


def read_sound(path: Path, sample_rate_hz: int, spans: Sequence[Span] = (WHOLE,)) -> list[np.ndarray]:
    """The sound of each span as float32 [samples], mono, from one pass over the file.

    Channels are mixed and the rate is changed by libswresample, as ``ffmpeg -ac 1 -ar 16000`` does it
    for a 16-bit file: the weights of ITU-R BS.775 (front 1, centre 2^0.5, surround 2^-0.5, no LFE),
    scaled to the sum of 1, and a windowed sinc of 32 taps.  Channels that a file does not name are
    taken in the usual order; of more than eight, all count alike.  Lossy formats may overshoot [-1, 1].

    Raises MediaError where there is no sound track or it cannot be decoded.
    """
    with open_media(path) as container:
        stream = sound_stream(container)
        blocks = list(_to_mono(decode(container, stream), sample_rate_hz))
        first_s = start_s(container, stream)
    if not blocks:
        raise MediaError("the sound track is empty")
    samples = np.concatenate(blocks)
    return [samples[_sample_slice(span, first_s, sample_rate_hz)] for span in spans]


def _to_mono(frames: Iterator[Any], sample_rate_hz: int) -> Iterator[np.ndarray]:
    """Mono float32 [samples], block by block."""

    def resampler() -> av.AudioResampler:
        # Without rematrix_maxval, float sound is mixed louder than its channels: stereo by 3 dB.
        return av.AudioResampler("flt", "mono", sample_rate_hz, options={"rematrix_maxval": "1"})

    current, layout = resampler(), None
    try:
        for frame in frames:
            if frame.layout.nb_channels > MOST_MIXED_CHANNELS:
                frame = _averaged(frame)
            found = (frame.format.name, frame.layout.name, frame.sample_rate)
            if layout not in (None, found):  # broadcasts change it in mid-stream
                yield from (block.to_ndarray()[0] for block in current.resample(None))
                current = resampler()
            layout = found
            yield from (block.to_ndarray()[0] for block in current.resample(frame))
        yield from (block.to_ndarray()[0] for block in current.resample(None))
    except MemoryError:
        raise
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(f"sound cannot be converted: {error}") from error


def _averaged(frame: Any) -> av.AudioFrame:
    """A frame as mono, every channel counting alike."""
    samples, channels = frame.to_ndarray(), frame.layout.nb_channels
    if frame.format.is_packed:
        samples = samples.reshape(-1, channels).T
    if samples.dtype.kind in "iu":
        half = 2.0 ** (8 * samples.itemsize - 1)
        samples = samples / half - (samples.dtype.kind == "u")
    mono = av.AudioFrame.from_ndarray(samples.mean(axis=0, keepdims=True, dtype=np.float32), "fltp", "mono")
    mono.sample_rate, mono.time_base, mono.pts = frame.sample_rate, frame.time_base, frame.pts
    return mono


def _sample_slice(span: Span, first_s: float, sample_rate_hz: int) -> slice:
    def place(time_s: float) -> int:
        return max(0, round((time_s - first_s) * sample_rate_hz))

    return slice(place(span.start_s), None if math.isinf(span.end_s) else place(span.end_s))


def _frame_times_s(path: Path) -> list[float]:
    """When each picture of a file is shown, in order, by its packets: cheap, and nearly always exact."""
    with open_media(path) as container:
        stream = picture_stream(container)
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
        first_s = start_s(container, picture_stream(container))
    for number, frame in enumerate(_decode(path)):
        times_s.append(float(frame.time or 0.0))
        if number in wanted:
            images[number] = _to_rgb(frame)
    return images, [first_s + time_s - times_s[0] for time_s in times_s]


def _decode(path: Path) -> Iterator[av.VideoFrame]:
    with open_media(path) as container:
        stream = picture_stream(container)
        stream.thread_count = 1  # the other cores are busy with other dialogues
        yield from decode(container, stream)


def _to_rgb(frame: av.VideoFrame) -> np.ndarray:
    """RGB uint8 [height, width, 3], upright, by the colour matrix and range that the frame names."""
    image = frame.to_ndarray(format="rgb24", threads=1)
    side_data: Any = frame.side_data  # PyAV's stubs know of motion vectors only
    if "DISPLAYMATRIX" not in side_data:
        return image
    return upright(image, np.frombuffer(bytes(side_data["DISPLAYMATRIX"]), np.int32))
