"""Media files that are damaged, or lie: each must be read, or refused as a broken clip.

Small recordings in many containers, and texts that name another file, are flipped, cut, zeroed, stretched
and spliced.  Each is probed, and read for frames and sound, whole and by spans.  The file that texts name is
a pipe which nobody writes to: whoever opens it hangs, and is found so.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import av
import numpy as np

from pipeline.media.audio import read_sounds
from pipeline.media.decoding import WHOLE, MediaError, Span
from pipeline.media.frames import read_frames
from pipeline.media.probe import probe

# Name, codec of the picture, codec of the sound.
RECORDINGS = [
    ("a.mp4", "libx264", "aac"),
    ("b.mov", "mpeg4", "pcm_s16be"),
    ("c.mkv", "libx264", "flac"),
    ("d.webm", "libvpx", "libopus"),
    ("e.avi", "mpeg4", "pcm_s16le"),
    ("f.avi", "mjpeg", "libmp3lame"),
    ("g.ts", "libx264", "aac"),
    ("h.ts", "mpeg2video", "mp2"),
    ("i.mpg", "mpeg1video", "mp2"),
    ("j.flv", "flv", "aac"),
    ("k.wmv", "wmv2", "wmav2"),
    ("l.mkv", "ffv1", "eac3"),
    ("m.3gp", "h263", "aac"),
    ("n.mxf", "mpeg2video", "pcm_s16le"),
    ("o.nut", "mpeg4", "ac3"),
    ("p.mkv", "libsvtav1", "libopus"),
    ("q.mp4", "libx265", "alac"),
    ("r.gif", "gif", ""),
    ("s.h264", "libx264", ""),
    ("t.mjpeg", "mjpeg", ""),
    ("u.wav", "", "pcm_s16le"),
    ("v.wav", "", "pcm_f32le"),
    ("w.wav", "", "adpcm_ms"),
    ("x.w64", "", "pcm_s24le"),
    ("y.aiff", "", "pcm_s16be"),
    ("z.au", "", "pcm_mulaw"),
    ("A.caf", "", "alac"),
    ("B.mp3", "", "libmp3lame"),
    ("C.aac", "", "aac"),
    ("D.flac", "", "flac"),
    ("E.ogg", "", "flac"),
    ("F.opus", "", "libopus"),
    ("G.m4a", "", "aac"),
    ("H.wv", "", "wavpack"),
    ("I.tta", "", "tta"),
]
TEXTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{bait}\n#EXT-X-ENDLIST\n",
    "joined.mp4": "ffconcat version 1.0\nfile '{bait}'\nduration 2\n",
    "call.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
    "stream.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet>'
    '<Representation id="1"><BaseURL>file://{bait}</BaseURL></Representation></AdaptationSet></Period></MPD>',
}
QUIET = {"libx265": {"x265-params": "log-level=none"}}
SIZES_AND_COUNTS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x1000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
RATE_HZ = 16000
SPANS = [WHOLE, Span(0.1, 0.3), Span(0.2), Span(50.0, 51.0)]


def make(random: Random, folder: Path) -> None:
    """Write a media file, broken in up to four ways, into an empty folder."""
    seeds = _seeds()
    name = random.choice(list(seeds))
    content = bytearray(seeds[name])
    for _ in range(random.randint(1, 4)):
        random.choice(MUTATIONS)(content, seeds, random)
    (folder / name).write_bytes(content)


def attempt(folder: Path) -> str:
    """``read`` or ``refused``; whatever is raised is a defect."""
    [path] = folder.iterdir()
    found, refused = probe(path), 0
    for look in (lambda: read_frames(path, 20, SPANS), lambda: read_sounds(path, RATE_HZ, SPANS)):
        try:
            for _ in look():
                pass
        except MediaError:
            refused += 1
    return "refused" if refused == 2 or (found.image_problem and found.audio_problem) else "read"


@cache
def _seeds() -> dict[str, bytes]:
    """Recordings of half a second by name, and texts that name a file."""
    folder = Path(mkdtemp(prefix="fuzz-media-"))
    atexit.register(rmtree, folder)
    os.environ.setdefault("SVT_LOG", "-1")
    found = {}
    for name, picture, sound in RECORDINGS:
        _write(folder / name, picture, sound)
        found[name] = (folder / name).read_bytes()
    bait = folder / "bait.ts"
    os.mkfifo(bait)
    return found | {name: text.format(bait=bait).encode() for name, text in TEXTS.items()}


def _write(path: Path, picture: str, sound: str) -> None:
    with av.open(path, "w") as container:
        tracks: list[Any] = []
        if picture:
            pixel_format = {"gif": "rgb8", "mjpeg": "yuvj420p"}.get(picture, "yuv420p")
            size = (176, 144) if picture == "h263" else (64, 48)
            options = QUIET.get(picture, {})
            tracks.append(container.add_stream(picture, rate=25, options=options, pix_fmt=pixel_format))
            tracks[0].width, tracks[0].height = size
        if sound:
            tracks.append(container.add_stream(sound, rate=48000, layout="stereo", bit_rate=64000))
        for track in tracks:
            for frame in _frames(track):
                container.mux(track.encode(frame))
            container.mux(track.encode())


def _frames(track: Any) -> Iterator[av.VideoFrame | av.AudioFrame]:
    noise = np.random.default_rng(0)
    if track.type == "video":
        for number in range(12):
            pixels = noise.integers(0, 60, (track.height, track.width, 3), np.uint8) + np.uint8(10 * number)
            yield av.VideoFrame.from_ndarray(pixels, "rgb24")
        return
    size = track.codec_context.frame_size or 1024
    for number in range(24000 // size):
        samples = (3000 * noise.standard_normal((1, 2 * size))).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, "s16", "stereo")
        frame.sample_rate, frame.time_base, frame.pts = 48000, Fraction(1, 48000), number * size
        yield frame


def _place(content: bytearray, random: Random) -> int:
    """A place in the file: as often in its header as in all of it."""
    limit = len(content) if random.random() < 0.5 else min(len(content), 512)
    return random.randrange(limit) if limit else 0


def _flip(content: bytearray, seeds: dict[str, bytes], random: Random) -> None:
    for _ in range(random.randint(1, 20) if content else 0):
        content[_place(content, random)] ^= 1 << random.randrange(8)


def _cut(content: bytearray, seeds: dict[str, bytes], random: Random) -> None:
    del content[_place(content, random) :]


def _remove(content: bytearray, seeds: dict[str, bytes], random: Random) -> None:
    start = _place(content, random)
    del content[start : start + random.choice((1, 4, 188, 512, 4096))]


def _zero(content: bytearray, seeds: dict[str, bytes], random: Random) -> None:
    start = _place(content, random)
    end = min(len(content), start + random.choice((4, 64, 512, 4096)))
    content[start:end] = bytes(end - start)


def _lie(content: bytearray, seeds: dict[str, bytes], random: Random) -> None:
    """Write a number where a header has one."""
    start = _place(content, random)
    width, order = random.choice((2, 4)), random.choice((1, -1))
    number = random.choice(SIZES_AND_COUNTS) & (256**width - 1)
    content[start : start + width] = number.to_bytes(width, "big")[::order]


def _repeat(content: bytearray, seeds: dict[str, bytes], random: Random) -> None:
    start = _place(content, random)
    block = content[start : start + random.choice((8, 64, 512))]
    content[start:start] = block * random.choice((1, 2, 100))


def _splice(content: bytearray, seeds: dict[str, bytes], random: Random) -> None:
    """Another file's header before, or its content behind."""
    other = seeds[random.choice(list(seeds))]
    start = random.choice((16, 64, 512, len(content) // 2))
    if random.random() < 0.5:
        content[:start] = other[:start]
    else:
        content[start:] = other[start:]


MUTATIONS: list[Callable[[bytearray, dict[str, bytes], Random], None]] = [
    *(_flip, _cut, _remove, _zero, _lie, _lie, _repeat, _splice),
]
