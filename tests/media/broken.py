"""Files that are no sound recordings, and lie about it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.media.seconds import write_seconds


def write_liars(folder: Path) -> dict[str, Path]:
    """By what it is: files of a few kB that take much memory, or lead elsewhere, where they are believed."""
    film = write_seconds(folder / "film.mp4", [1], picture="mpeg4", sound="aac")
    content = film.read_bytes()
    start = content.index(b"stts") + len(b"stts") + 4
    (folder / "count.mp4").write_bytes(content[:start] + b"\xff" * 4 + content[start + 4 :])
    (folder / "list.mp4").write_text("ffconcat version 1.0\nfile film.mp4\n")
    return {
        "four billion samples": folder / "count.mp4",
        "a list": folder / "list.mp4",
        "1 Hz": write_wav(folder / "hz.wav", 1),
        "12000 pixels": write_large_gif(folder / "large.gif"),
    }


def write_wav(path: Path, rate_hz: int, seconds_at_8000_hz: float = 1.0) -> Path:
    """8-bit hum that says it has this rate."""
    hum = 128 + 90 * np.sin(np.arange(round(8000 * seconds_at_8000_hz)) / 9)
    data = hum.astype(np.uint8).tobytes()
    fields = (16, 1 + (1 << 16), rate_hz, rate_hz, 1 + (8 << 16))
    fmt = b"fmt " + np.array(fields, "<u4").tobytes()
    body = b"WAVE" + fmt + b"data" + len(data).to_bytes(4, "little") + data
    path.write_bytes(b"RIFF" + len(body).to_bytes(4, "little") + body)
    return path


def write_large_gif(path: Path) -> Path:
    """A picture of 64 x 48 pixels that says it has 12000 x 12000."""
    with av.open(path, "w") as container:
        stream: Any = container.add_stream("gif", rate=5, width=64, height=48, pix_fmt="rgb8")
        container.mux([*stream.encode(av.VideoFrame(64, 48, "rgb8")), *stream.encode()])
    content = path.read_bytes()
    path.write_bytes(content[:6] + np.array([12000, 12000], "<u2").tobytes() + content[10:])
    return path


def refer(film: Path, other: str) -> None:
    """Make a MOV of one track say that its samples lie in another file of its folder, by an alias."""
    content, path, name = bytearray(film.read_bytes()), b"/" + other.encode(), other.encode()
    path += bytes(len(path) % 2)
    entry = b"alis" + bytes(4 + 10 + 28 + 12) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16)
    entry += struct.pack(">HH16xHH", 1, 1, 2, len(path)) + path + struct.pack(">HH", 0xFFFF, 0) + bytes(40)
    start = content.index(b"dref") + 12
    (old,) = struct.unpack_from(">I", content, start)
    content[start : start + old] = struct.pack(">I", len(entry) + 4) + entry
    for around in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        place = content.index(around) - 4
        (size,) = struct.unpack_from(">I", content, place)
        struct.pack_into(">I", content, place, size + len(entry) + 4 - old)
    film.write_bytes(content)
