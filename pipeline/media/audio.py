"""Sound out of a media file, as mono samples that lie where their time stamps say."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import av
import numpy as np
from av.audio.plane import AudioPlane

from pipeline.media.clips import Clip, Outcome, read_by_file
from pipeline.media.clock import origin_s, start_s
from pipeline.media.decoding import WHOLE, Span, audio_stream, decode
from pipeline.media.opening import MediaError, in_words, open_media

Channels = Literal["mix", "centre"]
CENTRE = "FC"  # ffmpeg's name
MOST_MIXED_CHANNELS = 8  # ffmpeg has a usual order for up to as many
DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
# Time stamps are rounded, to milliseconds in Matroska, and decoders hold back samples.  What is further off
# is missing or too much: libswresample's min_hard_comp.
TOLERANCE_S = 0.1
# More silence than this is a broken time stamp.
LONGEST_SILENCE_S = 3600.0
# Nobody says more at once, and memory holds it.
LONGEST_UTTERANCE_S = 3600.0


class Sound(NamedTuple):
    """What is heard, and from when on: damage may have taken the beginning."""

    start_s: float
    """Seconds from the start of the file."""
    samples: np.ndarray
    """float32 [n], mono."""


def read_sounds(
    path: Path, sample_rate_hz: int, spans: Sequence[Span] = (WHOLE,), channels: Channels = "mix"
) -> Iterator[tuple[int, Sound]]:
    """(place in ``spans``, its sound), as soon as it is decoded, from one pass.

    Samples lie where their time stamps say, to 0.1 s: where some are missing (lost or undecodable packets, a
    stall, a clock that drifts) is silence, and what is too much is left out.  Before the first sample and
    after the last there is nothing.  Memory holds the spans that overlap.

    Channels are mixed and the rate is changed by libswresample, as ``ffmpeg -ac 1 -ar 16000`` does it
    for a 16-bit file: the weights of ITU-R BS.775 (front 1, centre 2^0.5, surround 2^-0.5, no LFE),
    scaled to the sum of 1, and a windowed sinc of 32 taps.  Channels that a file does not name are
    taken in the usual order; of more than eight, all count alike.  Lossy formats may overshoot [-1, 1].
    Where ``channels`` is ``centre``, the front centre is taken alone wherever a file names one, as of 5.1.

    Raises MediaError where there is no sound track, it cannot be decoded or, once all others are read, an
    utterance lasts over an hour.
    """
    with open_media(path) as container:
        stream = audio_stream(container)
        first_s = start_s(container, stream)
        blocks = _to_mono(decode(container, stream), origin_s(container) + first_s, sample_rate_hz, channels)
        ranges = [_sample_range(span, first_s, sample_rate_hz) for span in spans]
        most_samples = round(LONGEST_UTTERANCE_S * sample_rate_hz)
        for place, begin, samples in _cut(blocks, ranges, most_samples=most_samples):
            yield place, Sound(first_s + begin / sample_rate_hz, samples)


def iterate_sounds(
    clips: Sequence[Clip], root: Path, sample_rate_hz: int, channels: Channels = "mix"
) -> Iterator[Outcome[Sound]]:
    """(place in ``clips``, its sound or why there is none), file by file."""

    def read(path: str, places: Sequence[int]) -> Iterator[tuple[int, Sound]]:
        return read_sounds(root / path, sample_rate_hz, [clips[place].span for place in places], channels)

    yield from read_by_file(clips, read)


def _to_mono(
    frames: Iterable[Any], first_stamp_s: float, sample_rate_hz: int, channels: Channels
) -> Iterator[tuple[int, np.ndarray]]:
    """(place of its first sample in the sound, mono float32 [samples]), block by block."""

    place = 0

    def resampler() -> av.AudioResampler:
        # Without rematrix_maxval, float sound is mixed louder than its channels: stereo by 3 dB.
        return av.AudioResampler("flt", "mono", sample_rate_hz, options={"rematrix_maxval": "1"})

    def convert(frame: Any) -> Iterator[tuple[int, np.ndarray]]:
        nonlocal place
        for block in current.resample(frame):
            samples = block.to_ndarray()[0]
            yield place, samples
            place += len(samples)

    current, layout = resampler(), None
    with in_words("sound cannot be converted"):
        for time_s, frame in _timed(frames, first_stamp_s):
            names = [channel.name for channel in frame.layout.channels]
            if channels == "centre" and len(names) > 1 and CENTRE in names:
                frame = _as_mono(frame, [names.index(CENTRE)])
            elif len(names) > MOST_MIXED_CHANNELS:
                frame = _as_mono(frame, range(len(names)))
            found = (frame.format.name, frame.layout.name, frame.sample_rate)
            if time_s is not None or layout not in (None, found):  # broadcasts change it in mid-stream
                yield from convert(None)
                current = resampler()
            if time_s is not None:
                place = round(time_s * sample_rate_hz)
            layout = found
            yield from convert(frame)
        yield from convert(None)


def _timed(frames: Iterable[Any], first_stamp_s: float) -> Iterator[tuple[float | None, Any]]:
    """(when it is heard, in seconds from the first sample, if not right after the one before; the frame)."""
    heard_s, stamp_s = 0.0, -math.inf
    for frame in frames:
        time_s = None
        # Stamps that stand still, as of all frames of a packet, say nothing.
        if frame.time not in (None, stamp_s):
            stamp_s = frame.time
            if abs(stamp_s - first_stamp_s - heard_s) > TOLERANCE_S:
                time_s = stamp_s - first_stamp_s
        if time_s is not None:
            if time_s > heard_s + LONGEST_SILENCE_S:
                raise MediaError(f"sound jumps from {heard_s:.0f} to {time_s:.0f} s")
            heard_s = time_s
        yield time_s, frame
        heard_s += frame.samples / frame.sample_rate


def _as_mono(frame: Any, wanted: Sequence[int]) -> av.AudioFrame:
    """The wanted channels of a frame as one, each counting alike."""
    channels, dtype = frame.layout.nb_channels, np.dtype(DTYPES[frame.format.packed.name])
    # Not frame.planes, nor to_ndarray(): of more than eight channels they do not find the end, and crash.
    planes: list[Any] = [
        AudioPlane(frame, place) for place in range(channels if frame.format.is_planar else 1)
    ]
    count = frame.samples * channels // len(planes)
    samples = np.stack([np.frombuffer(plane, dtype, count) for plane in planes])
    if frame.format.is_packed:
        samples = samples.reshape(-1, channels).T
    if samples.dtype.kind in "iu":
        half = 2.0 ** (8 * samples.itemsize - 1)
        samples = samples / half - (samples.dtype.kind == "u")
    mono = av.AudioFrame.from_ndarray(
        samples[wanted].mean(axis=0, keepdims=True, dtype=np.float32), "fltp", "mono"
    )
    mono.sample_rate, mono.time_base, mono.pts = frame.sample_rate, frame.time_base, frame.pts
    return mono


def _sample_range(span: Span, first_s: float, sample_rate_hz: int) -> tuple[int, float]:
    """The places of a span's first sample and of the first one after it."""

    def place(time_s: float) -> int:
        return max(0, round((time_s - first_s) * sample_rate_hz))

    return place(span.start_s), math.inf if math.isinf(span.end_s) else place(span.end_s)


def _cut(
    blocks: Iterable[tuple[int, np.ndarray]], ranges: Sequence[tuple[int, float]], *, most_samples: int
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Of each range its place, where what is heard of it begins, and the samples; in the order of their ends.

    Raises MediaError at the end for those that are too long.
    """
    waiting = deque(sorted(range(len(ranges)), key=ranges.__getitem__))
    parts: dict[int, list[tuple[int, np.ndarray]]] = {}
    first: int | None = None
    heard, too_long = 0, False
    for begin, block in blocks:
        first = begin if first is None else first
        heard = max(heard, begin + len(block))
        while waiting and ranges[waiting[0]][0] < heard:
            parts[waiting.popleft()] = []
        for place in list(parts):
            start, end = ranges[place]
            if min(heard, end) - max(first, start) > most_samples:
                del parts[place]
                too_long = True
                continue
            if begin < end:
                parts[place].append((begin, block))
            if heard >= end:
                audible = max(first, start)
                yield place, audible, _join(parts.pop(place), audible, int(end))
        if not waiting and not parts:
            break
    if first is None:
        raise MediaError("the sound track is empty")
    for place in [*parts, *waiting]:
        start, end = ranges[place]
        audible = max(first, start)
        yield place, audible, _join(parts.get(place, []), audible, int(min(heard, end)))
    if too_long:
        raise MediaError("an utterance of more than an hour")


def _join(parts: Sequence[tuple[int, np.ndarray]], start: int, end: int) -> np.ndarray:
    """The samples from ``start`` up to ``end``, silent where there are none."""
    samples = np.zeros(max(0, end - start), np.float32)
    for begin, block in parts:
        target = samples[max(0, begin - start) :]
        source = block[max(0, start - begin) :][: len(target)]
        target[: len(source)] = source
    return samples
