"""Media files opened and decoded by PyAV (ffmpeg's libraries), as far as damage allows.

MemoryError passes everywhere: it says nothing about the file, and the engine has the work tried again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.stream import Disposition

from pipeline.errors import UserError
from pipeline.media.clock import Clock

# ffmpeg looks for another codec (DTS) in disguise, here in one packet of 32 kB.  Its own 2500 packets of 4 kB
# take longer than everything else does in reading a short file.
WAV_OPTIONS = {"max_probe_packets": "1", "max_size": "32768"}


class Span(NamedTuple):
    """Part of a file, in seconds from its start; the end is not part of it."""

    start_s: float = 0.0
    end_s: float = math.inf


WHOLE = Span()


class MediaError(Exception):
    """A file, or one of its streams, that cannot be used; the message is the reason, in a few words."""


class UnreachableFileError(UserError):
    """A file that could not be read at all: not there, no permission, a disk that is gone."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path}: {reason}, though it was there when the manifest was made; run dvc repro again"
        )


def open_media(path: Path) -> av.container.InputContainer:
    """The file, opened; MediaError if it is no media file, UnreachableFileError if it cannot be read."""
    try:
        return av.open(path, options=WAV_OPTIONS if path.suffix.lower() == ".wav" else {})
    except av.InvalidDataError as error:
        raise MediaError(f"cannot be opened: {_words(error)}") from error
    except OSError as error:
        # A clip that is not there or cannot be reached says nothing about the clip.
        raise UnreachableFileError(path, _words(error)) from error
    except MemoryError:
        raise
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(f"cannot be opened: {_words(error)}") from error


def video_stream(container: av.container.InputContainer) -> Any:
    """The file's default video stream; MediaError if it has none that can be decoded.

    A cover picture, which music files carry as a video stream of one frame, is none.
    """
    return _default(_moving(container), "no picture", "picture")


def audio_stream(container: av.container.InputContainer) -> Any:
    """The file's default audio stream; MediaError if it has none that can be decoded."""
    return _default(list(container.streams.audio), "no sound track", "sound")


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

    The last of each stream is empty: it asks the decoder for what it holds back.
    """
    clock, streams = Clock(container), used_streams(container)
    if not streams:  # PyAV would take it for all of them
        return
    try:
        for packet in container.demux(streams):
            try:
                clock.set(packet)
            except ValueError as error:
                raise MediaError(str(error)) from None
            yield packet
    except MemoryError:
        raise
    except av.FFmpegError:
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
            frames = packet.decode()
        except av.InvalidDataError as error:
            problem = f"{kind} cannot be decoded: {_words(error)}"
            continue
        except MemoryError:
            raise
        except (av.FFmpegError, ValueError) as error:
            raise MediaError(f"{kind} cannot be decoded: {_words(error)}") from error
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
    return stream


def _words(error: Exception) -> str:
    """ffmpeg's own words, without the number and the path, which differs between machines."""
    return getattr(error, "strerror", None) or type(error).__name__
