"""The picture and the sound of a media file, decoded by PyAV as far as damage and reason allow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import av
from av.stream import Disposition

from pipeline.media.clock import Clock
from pipeline.media.opening import (
    MOST_CHANNELS,
    MOST_PIXELS,
    OPTIONS,
    SAMPLE_RATES_HZ,
    MediaError,
    has_memory,
    in_words,
)

# Edit lists show a part more than once; an index that leads to the same bytes over and over is a lie.
MOST_REPEATS = 20
REPEATED_BYTES = 100_000


class Span(NamedTuple):
    """Part of a file, in seconds from its start; the end is not part of it."""

    start_s: float = 0.0
    end_s: float = math.inf


WHOLE = Span()


def video_stream(container: av.container.InputContainer) -> Any:
    """The file's default video stream; MediaError if it has none that can be decoded.

    A cover picture, which music files carry as a video stream of one frame, is none.
    """
    stream = _default(_moving(container), "no picture", "picture")
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MOST_PIXELS:
        raise MediaError(f"a picture of {width} x {height} pixels, which no camera takes")
    return stream


def audio_stream(container: av.container.InputContainer) -> Any:
    """The file's default audio stream; MediaError if it has none that can be decoded."""
    stream = _default(list(container.streams.audio), "no sound track", "sound")
    _check_sound(stream.codec_context.sample_rate, stream.codec_context.channels)
    return stream


def track(container: av.container.InputContainer, stream: Any) -> str:
    """Which of the streams of its kind a stream is, such as ``2 of 3``."""
    alike = _moving(container) if stream.type == "video" else list(container.streams.audio)
    return f"{alike.index(stream) + 1} of {len(alike)}"


def used_streams(container: av.container.InputContainer) -> list[Any]:
    """The picture and the sound that are used, as far as the file has them."""
    found = []
    for choose in (video_stream, audio_stream):
        with suppress(MediaError):
            found.append(choose(container))
    return found


def packets(container: av.container.InputContainer) -> Iterator[av.Packet]:
    """The packets of the streams that are used, on one clock, up to the end of the file or of what is whole.

    The last of each stream is empty: it asks the decoder for what it holds back.  Raises MediaError where
    nothing can be read, or more than the file holds.
    """
    clock, streams = Clock(container), used_streams(container)
    if not streams:  # PyAV would take it for all of them
        return
    read_bytes, most_bytes = 0, MOST_REPEATS * (container.size + REPEATED_BYTES)
    try:
        for packet in container.demux(streams):
            # One without content costs as well.
            read_bytes += packet.size + 1
            if read_bytes > most_bytes:
                raise MediaError("its index names many times what it holds")
            try:
                clock.set(packet)
            except ValueError as error:
                raise MediaError(str(error)) from None
            yield packet
    except av.FFmpegError as error:
        with in_words("cannot be read"):
            if not read_bytes or (isinstance(error, MemoryError) and not has_memory()):
                raise
        for stream in streams:
            flush = av.Packet()
            flush.stream = stream
            yield flush


def decode(container: av.container.InputContainer, stream: Any) -> Iterator[Any]:
    """Every frame that can be decoded, in order of time; a damaged packet costs only its own frames.

    Raises MediaError where there is none at all.
    """
    kind = "picture" if stream.type == "video" else "sound"
    problem, any_frame = f"no {kind} could be decoded", False
    for packet in packets(container):
        if packet.stream_index != stream.index:
            continue
        try:
            with in_words(f"{kind} cannot be decoded"):
                frames: list[Any] = packet.decode()
        except MediaError as error:
            if isinstance(error.__cause__, MemoryError):  # its other packets may ask for as much
                raise
            problem = str(error)
            continue
        if frames and stream.type == "audio":  # streams change it on their way
            _check_sound(frames[0].sample_rate, frames[0].layout.nb_channels)
        any_frame = any_frame or bool(frames)
        yield from frames
    if not any_frame:
        raise MediaError(problem)


def _moving(container: av.container.InputContainer) -> list[Any]:
    return [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]


def _default(streams: list[Any], absent: str, kind: str) -> Any:
    """The stream that the container marks as default, as players take it; else the first."""
    if not streams:
        raise MediaError(absent)
    stream = next((s for s in streams if s.disposition & Disposition.default), streams[0])
    if stream.codec_context is None:
        raise MediaError(f"{kind} cannot be decoded: its format is unknown")
    if not stream.codec_context.is_open:
        stream.codec_context.options = OPTIONS
    return stream


def _check_sound(sample_rate_hz: int, channels: int) -> None:
    """Raise MediaError for what nobody records, and would fill the memory; 0 is not yet known."""
    if sample_rate_hz and sample_rate_hz not in SAMPLE_RATES_HZ:
        raise MediaError(f"sound of {sample_rate_hz} samples a second, which nobody records")
    if channels > MOST_CHANNELS:
        raise MediaError(f"sound of {channels} channels, which nobody records")
