"""Sound out of a media file, as mono samples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from pipeline.media.clips import Clip, Outcome, read_by_file
from pipeline.media.decoding import WHOLE, MediaError, Span, audio_stream, decode, open_media, start_s

MOST_MIXED_CHANNELS = 8  # ffmpeg has a usual order for up to as many


def read_audio(path: Path, sample_rate_hz: int, spans: Sequence[Span] = (WHOLE,)) -> list[np.ndarray]:
    """The sound of each span as float32 [samples], mono, from one pass over the file.

    Channels are mixed and the rate is changed by libswresample, as ``ffmpeg -ac 1 -ar 16000`` does it
    for a 16-bit file: the weights of ITU-R BS.775 (front 1, centre 2^0.5, surround 2^-0.5, no LFE),
    scaled to the sum of 1, and a windowed sinc of 32 taps.  Channels that a file does not name are
    taken in the usual order; of more than eight, all count alike.  Lossy formats may overshoot [-1, 1].

    Raises MediaError where there is no sound track or it cannot be decoded.
    """
    with open_media(path) as container:
        stream = audio_stream(container)
        blocks = list(_to_mono(decode(container, stream), sample_rate_hz))
        first_s = start_s(container, stream)
    if not blocks:
        raise MediaError("the sound track is empty")
    samples = np.concatenate(blocks)
    return [samples[_sample_slice(span, first_s, sample_rate_hz)] for span in spans]


def iterate_audio(clips: Sequence[Clip], root: Path, sample_rate_hz: int) -> Iterator[Outcome[np.ndarray]]:
    """(place in ``clips``, its mono samples float32 [n] or why there are none), file by file."""

    def read(path: str, places: Sequence[int]) -> list[np.ndarray]:
        return read_audio(root / path, sample_rate_hz, [clips[place].span for place in places])

    yield from read_by_file(clips, read)


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
