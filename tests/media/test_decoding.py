"""Which of a file's tracks are used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest
from av.stream import Disposition

from pipeline.media.frames import read_frames
from pipeline.media.probe import probe
from tests.media.seconds import RATE_HZ, grey, second_heard, second_shown, tone
from tests.media.sounds import read_audio


def write_tracks(path: Path, default: int | None, pictures: bool = True) -> Path:
    """A cover of second 9, and three pictures and sounds, of the seconds 0, 1 and 2."""
    with av.open(path, "w", format="mp4") as container:
        cover = container.add_stream("mjpeg", rate=1, width=64, height=48, pix_fmt="yuvj420p")
        cover.disposition = Disposition.attached_pic
        tracks: list[tuple[Any, int]] = [(cover, 9)]
        for second in range(3):
            added = [container.add_stream("aac", rate=RATE_HZ, layout="mono")]
            if pictures:
                added.append(container.add_stream("mpeg4", rate=25, width=64, height=48))
            for track in added:
                track.disposition = Disposition.default if second == default else Disposition(0)
                tracks.append((track, second))
        for track, second in tracks:
            if track.type == "video":
                frame = av.VideoFrame.from_ndarray(grey(second), "rgb24")
            else:
                frame = av.AudioFrame.from_ndarray(tone(second)[None], "fltp", "mono")
                frame.sample_rate = RATE_HZ
            container.mux([*track.encode(frame), *track.encode()])
    return path


@pytest.mark.parametrize("default", [1, 2, None])
def test_the_tracks_that_the_container_marks_as_default_are_used_else_the_first(
    tmp_path: Path, default: int | None
) -> None:
    path = write_tracks(tmp_path / "tracks.mp4", default)
    used = default or 0
    [(_, samples)] = read_audio(path, RATE_HZ)
    [(_, frames)] = read_frames(path, 1)
    assert (second_heard(samples), second_shown(frames.images[0])) == (used, used)
    found = probe(path)
    assert (found.image_track, found.audio_track) == (f"{used + 1} of 3",) * 2


def test_a_cover_is_no_picture(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "song.m4a", default=0, pictures=False)
    found = probe(path)
    assert (found.image_problem, found.image_track) == ("no picture", "")
    assert (found.audio_problem, found.audio_track) == ("", "1 of 3")
