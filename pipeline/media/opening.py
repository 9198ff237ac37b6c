"""Media files opened by PyAV (ffmpeg's libraries), whoever made them: nothing else is read, and not for ever.

What goes wrong has one of three causes, which ffmpeg tells by one kind of numbers: the file system (the run
stops), a machine without memory (the engine has the work tried again), or the file (it is a broken clip).
"""

from __future__ import annotations

import errno
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import av

from pipeline.errors import UserError, printable

# What recordings are kept in.  None of these opens a second file, as playlists, ffconcat, SDP or numbered
# images do, and none is a text that happens to be shown as a picture.
FORMATS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "asf", "flv", "ogg", "mxf", "nut", "rm", "wtv", "dv"),
    *("wav", "w64", "aiff", "au", "caf", "nistsphere", "voc", "sox", "gif", "yuv4mpegpipe"),
    *("aac", "ac3", "amr", "amrnb", "amrwb", "ape", "dts", "eac3", "flac", "loas", "mp3", "tta", "wv"),
    *("h261", "h263", "h264", "hevc", "vvc", "m4v", "mpegvideo", "mjpeg", "ivf", "obu", "av1"),
)
# DCI 8K, the largest that cameras take.
WIDEST_PX, HIGHEST_PX = 8192, 4320
MOST_PIXELS = WIDEST_PX * HIGHEST_PX
# No codec puts more into one packet: 27 s of Monkey's Audio.
MOST_SAMPLES = 2**21
# Sound is recorded with 4 to 768 kHz, by up to 64 microphones.
SAMPLE_RATES_HZ = range(1000, 1_000_001)
MOST_CHANNELS = 128
# More memory than ffmpeg needs for any of these.
ENOUGH_BYTES = 2**30

OPTIONS = {
    "format_whitelist": ",".join(FORMATS),
    "protocol_whitelist": "none",
    "enable_drefs": "0",
    "max_pixels": str(MOST_PIXELS),
    "max_samples": str(MOST_SAMPLES),
}
# ffmpeg looks for another codec (DTS) in disguise, here in one packet of 32 kB.  Its own 2500 packets of 4 kB
# take longer than everything else does in reading a short file.
WAV_OPTIONS = {"max_probe_packets": "1", "max_size": "32768"}


class MediaError(Exception):
    """A file, or one of its streams, that cannot be used; the message is the reason, in a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(printable(reason))  # it may quote the file


class UnreachableFileError(UserError):
    """A file that could not be read at all: not there, no permission, a disk that is gone."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path}: {reason}, though it was there when the manifest was made; run dvc repro again"
        )
        self.strerror = reason


@contextmanager
def open_media(path: Path) -> Iterator[av.container.InputContainer]:
    """The file, opened.

    Raises MediaError if it is no recording that can be read, and UnreachableFileError if its bytes could not
    be read, be it only when all is done with it: what was read of it until then is cut off.
    """
    try:
        file = _File(path)
    except OSError as error:
        # A clip that is not there or cannot be reached says nothing about the clip.
        raise UnreachableFileError(path, error.strerror or type(error).__name__) from error
    with file:
        try:
            options = OPTIONS | (WAV_OPTIONS if path.suffix.lower() == ".wav" else {})
            with in_words("cannot be opened"), _no_recording():
                container = av.open(file, "r", options=options, metadata_errors="replace")
            with container:
                yield container
        finally:
            if file.error is not None:
                raise UnreachableFileError(path, file.error.strerror or "unreadable") from file.error


@contextmanager
def _no_recording() -> Iterator[None]:
    """Say of an invalid argument what it means where a file is opened."""
    try:
        yield
    except av.ArgumentError as error:
        raise MediaError(
            "cannot be opened: it is no recording in a format that is read, or its header says what cannot be"
        ) from error


@contextmanager
def in_words(trouble: str) -> Iterator[None]:
    """Raise what ffmpeg raises as MediaError: the trouble, and the reason in words.

    MemoryError passes where the machine is short of memory: it says nothing about the file.
    """
    try:
        yield
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, MemoryError) and not has_memory():
            raise
        raise MediaError(f"{trouble}: {_words(error)}") from error


def has_memory() -> bool:
    """Whether there is as much as any recording needs, so that who asks for more was told a lie."""
    try:
        mmap.mmap(-1, ENOUGH_BYTES).close()
    except OSError:
        return False
    return True


class _File(FileIO):
    """A file that remembers what the file system said, which ffmpeg takes for the end of the file."""

    error: OSError | None = None

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.name = str(path)  # by which formats without a mark of their own are told

    def read(self, size: int | None = -1, /) -> bytes:
        """What is there, nothing at the end or where it cannot be read."""
        try:
            return super().read(size) or b""
        except OSError as error:
            self.error = error
            return b""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """The place, or the negative number of an error where there is none such."""
        try:
            return super().seek(offset, whence)
        except (OSError, OverflowError) as error:
            return -(getattr(error, "errno", None) or errno.EINVAL)


def _words(error: Exception) -> str:
    """Why ffmpeg cannot go on, without numbers, nor paths, which differ between machines."""
    if isinstance(error, MemoryError):
        return "it asks for more memory than any recording needs"
    if isinstance(error, av.ArgumentError):
        return f"a size or form that is not read, such as pictures over {WIDEST_PX} x {HIGHEST_PX} pixels"
    if isinstance(error, av.error.EOFError):
        return "it ends too early"
    if isinstance(error, av.error.PatchWelcomeError):
        return "a variant of its format that ffmpeg does not know"
    if isinstance(error, OSError):  # said of the file's content: the file itself could be read
        return "its structure is damaged"
    said = getattr(error, "strerror", None) or ""
    return "its data make no sense" if not said or said.startswith("Error number") else said
