"""Files from elsewhere: read whole where they can be, refused in words where not, and no other file is."""

from __future__ import annotations

import errno
import os
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.media import audio, decoding, opening
from pipeline.media.audio import iterate_sounds
from pipeline.media.clips import Clip
from pipeline.media.decoding import Span, decode, video_stream
from pipeline.media.frames import read_frames
from pipeline.media.opening import MediaError, UnreachableFileError, open_media
from pipeline.media.probe import probe
from pipeline.media.probes import examine_file
from pipeline.work.engine import run_all
from tests.media.broken import refer, write_large_gif, write_liars, write_wav
from tests.media.seconds import RATE_HZ, write_seconds
from tests.media.sounds import read_audio


def write_picture(path: Path, width: int, height: int) -> Path:
    with av.open(path, "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=5, width=width, height=height, pix_fmt="yuvj420p")
        picture = av.VideoFrame(width, height, "yuvj420p")  # whatever it shows
        container.mux([*stream.encode(picture), *stream.encode()])
    return path


def spoil(path: Path, old: bytes, new: bytes) -> Path:
    """Put other bytes of the same number into a file, wherever the old ones are."""
    assert len(old) == len(new)
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_seconds(tmp_path_factory.mktemp("film") / "film.mp4", [1], picture="mpeg4", sound="aac")


@pytest.mark.parametrize("name", ["a.wav", "a.mp4", "a.avi", "a.mkv"])
def test_a_title_in_another_encoding_hurts_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with av.open(path, "w") as container:
        container.metadata["title"] = "Zo~"
        stream: Any = container.add_stream(
            "pcm_s16le" if name != "a.mp4" else "aac", rate=RATE_HZ, layout="mono"
        )
        frame = av.AudioFrame.from_ndarray(np.full((1, RATE_HZ), 999, np.int16), "s16", "mono")
        frame.sample_rate, frame.time_base, frame.pts = RATE_HZ, Fraction(1, RATE_HZ), 0
        container.mux([*stream.encode(frame), *stream.encode()])
    [(_, before)] = read_audio(path, RATE_HZ)
    spoil(path, b"Zo~", b"Zo\xeb")
    [(_, after)] = read_audio(path, RATE_HZ)
    np.testing.assert_array_equal(after, before)
    assert probe(path).audio_problem == ""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{film}\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{film}\n#EXT-X-ENDLIST\n"),
        ("joined.mp4", "ffconcat version 1.0\nfile film.mp4\n"),
        ("joined.ffconcat", "ffconcat version 1.0\nfile film.mp4\n"),
        ("call.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n"),
        ("stream.mpd", '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>'),
        ("poem.txt", "a text is no picture of itself\n" * 9),
    ],
)
def test_what_names_other_files_is_no_recording(tmp_path: Path, film: Path, name: str, text: str) -> None:
    path = film.parent / name
    path.write_text(text.format(film=film))
    found = probe(path)
    assert found.image_problem == found.audio_problem
    assert re.match(
        r"cannot be opened: (it is no recording in a format that is read|Invalid data)", found.image_problem
    )


def test_samples_that_lie_in_another_file_are_not_read(tmp_path: Path) -> None:
    path, _ = (write_seconds(tmp_path / f"{second}.mov", [second], sound="pcm_s16be") for second in (1, 5))
    refer(path, "5.mov")
    with av.open(path, options={"enable_drefs": "1"}) as container:
        [first, *_] = container.decode(audio=0)  # what ffmpeg can be made to do
        assert first.samples
    with pytest.raises(MediaError, match="no sound could be decoded"):
        list(read_audio(path, RATE_HZ))


def test_numbered_images_are_no_recording_by_their_pattern(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").touch()
    with pytest.raises(UnreachableFileError, match=r"%d\.png: No such file"):
        probe(tmp_path / "%d.png")


def test_only_what_the_file_system_says_stops_a_run(tmp_path: Path, film: Path) -> None:
    unreadable = tmp_path / "a.mp4"
    unreadable.symlink_to("/proc/self/mem")  # opens, and answers EIO
    with pytest.raises(UserError, match=r"a\.mp4: Input/output error"):
        probe(unreadable)
    with pytest.raises(UserError, match=r"a\.mp4: cannot be read \(Input/output error\); mend"):
        examine_file(unreadable)
    with pytest.raises(UserError, match="No such file"):
        list(read_frames(tmp_path / "absent.mp4", 1))


def test_that_a_clip_cannot_be_reached_leaves_the_worker_as_one_line(tmp_path: Path) -> None:
    running = run_all(probe, [tmp_path / "a.mp4"], workers=1, modules=[], on_death=lambda *_: None)
    with pytest.raises(UnreachableFileError, match=r"a\.mp4: No such file .* run dvc repro again"):
        list(running)


def test_a_disk_that_fails_amid_a_file_is_not_its_end(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = opening._File.read

    def fail(self: Any, size: int = -1) -> bytes:
        if self.tell():
            self.error = OSError(errno.EIO, os.strerror(errno.EIO))
            return b""
        return whole(self, min(size, 1000))

    monkeypatch.setattr(opening._File, "read", fail)
    with pytest.raises(UnreachableFileError, match=r"film\.mp4: Input/output error"):
        list(read_audio(film, RATE_HZ))


@pytest.mark.parametrize("code", [errno.EIO, errno.EPERM, errno.ENOENT])
def test_what_ffmpeg_says_of_the_content_is_a_broken_clip(
    film: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        av.error.err_check(-code)

    monkeypatch.setattr(av, "open", refuse)
    assert examine_file(film).probe.image_problem == "cannot be opened: its structure is damaged"


def test_a_lie_about_its_size_is_a_broken_clip(tmp_path: Path) -> None:
    problem = probe(write_liars(tmp_path)["four billion samples"]).image_problem
    assert problem == "cannot be opened: it asks for more memory than any recording needs"


def test_want_of_memory_is_no_property_of_a_clip(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would stand in quarantine for ever; as MemoryError, the clip is tried again."""

    class LargePacket:
        stream_index = 0

        def decode(self) -> list[av.VideoFrame]:
            raise av.error.MemoryError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(decoding, "packets", lambda container: iter([LargePacket()]))
    with open_media(film) as container:
        with pytest.raises(MediaError, match="more memory than any recording needs"):
            next(decode(container, video_stream(container)))
        monkeypatch.setattr(opening, "has_memory", lambda: False)
        with pytest.raises(MemoryError):
            next(decode(container, video_stream(container)))


@pytest.mark.parametrize("rate_hz", [4000, 8000, 44100, 768000])
def test_sound_is_read_at_any_rate_that_is_recorded(tmp_path: Path, rate_hz: int) -> None:
    path = write_wav(tmp_path / "a.wav", rate_hz)
    assert probe(path).sample_rate_hz == rate_hz
    [(_, samples)] = read_audio(path, RATE_HZ)
    assert len(samples) == pytest.approx(8000 * RATE_HZ / rate_hz, abs=40)


@pytest.mark.parametrize("rate_hz", [1, 536892962])
def test_a_rate_that_nobody_records_is_refused_before_it_fills_the_memory(
    tmp_path: Path, rate_hz: int
) -> None:
    path = write_wav(tmp_path / "a.wav", rate_hz)
    reason = f"sound of {rate_hz} samples a second, which nobody records"
    assert probe(path).audio_problem == reason
    with pytest.raises(MediaError, match=reason):
        list(read_audio(path, RATE_HZ))


def test_an_utterance_of_more_than_an_hour_is_refused_and_shorter_ones_beside_it_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio, "LONGEST_UTTERANCE_S", 0.5)
    path = write_wav(tmp_path / "a.wav", 8000)
    assert [len(samples) for _, samples in read_audio(path, 8000, [Span(0, 0.5), Span(0.5, 0.9)])] == [
        4000,
        3200,
    ]
    with pytest.raises(MediaError, match="more than an hour"):
        list(read_audio(path, 8000))
    spans = [Span(0, 0.4), Span(0.1, 0.9), Span(0.7, 0.8), Span(0.8, 0.9)]
    found = dict(iterate_sounds([Clip("a.wav", "", "", span) for span in spans], tmp_path, 8000))
    assert str(found.pop(1)) == "an utterance of more than an hour"
    assert [len(found[place].samples) for place in (0, 2, 3)] == [3200, 800, 800]


def test_pictures_of_8k_are_read(tmp_path: Path) -> None:
    [(_, frames)] = read_frames(write_picture(tmp_path / "a.avi", 7680, 4320), 1)
    assert frames.images[0].shape == (4320, 7680, 3)


def test_a_picture_that_no_camera_takes_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    path = write_large_gif(tmp_path / "a.gif")
    assert probe(path).image_problem.endswith("such as pictures over 8192 x 4320 pixels")
    with pytest.raises(MediaError, match="pictures over 8192 x 4320"):
        list(read_frames(path, 20))


def test_an_index_that_leads_to_the_same_bytes_over_and_over_is_refused(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "MOST_REPEATS", 0.001)
    with pytest.raises(MediaError, match="its index names many times what it holds"):
        list(read_audio(film, RATE_HZ))


@pytest.mark.parametrize("code", [50531338, 5, 1, 22, 1094995529, 541478725, 1163346256, 1128613112])
def test_reasons_are_words(code: int) -> None:
    with pytest.raises(MediaError) as raised, opening.in_words("cannot be opened"):
        av.error.err_check(-code)
    assert not any(letter.isdigit() for letter in str(raised.value).replace("8192 x 4320", ""))
    assert "rrno" not in str(raised.value)
