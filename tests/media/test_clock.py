"""Recordings joined end to end, and clocks that wrap or start late."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.media.decoding import MediaError, Span
from pipeline.media.frames import read_frames
from pipeline.media.probe import probe
from tests.media.seconds import RATE_HZ, second_heard, second_shown, write_seconds
from tests.media.sounds import read_audio


def perceived(path: Path, seconds: int) -> tuple[list[int | None], list[int | None]]:
    """What is heard and seen in the middle of each second."""
    spans = [Span(second + 0.3, second + 0.7) for second in range(seconds)]
    sounds, pictures = dict(read_audio(path, RATE_HZ, spans)), dict(read_frames(path, 1, spans))
    return (
        [second_heard(sounds[place]) for place in range(seconds)],
        [second_shown(pictures[place].images[0]) for place in range(seconds)],
    )


def join(folder: Path, kind: str, parts: Sequence[range], **how: Any) -> Path:
    """Recordings joined as ``cat`` does it."""
    written = [write_seconds(folder / f"{part[0]}.{kind}", part, **how).read_bytes() for part in parts]
    path = folder / f"joined.{kind}"
    path.write_bytes(b"".join(written))
    return path


@pytest.mark.parametrize(
    ("kind", "picture", "sound"),
    [("ts", "libx264", "aac"), ("ts", "mpeg2video", "mp2"), ("mpg", "mpeg1video", "mp2")],
)
def test_recordings_joined_end_to_end_follow_one_another(
    tmp_path: Path, kind: str, picture: str, sound: str
) -> None:
    path = join(tmp_path, kind, [range(3), range(3, 5), range(5, 9)], picture=picture, sound=sound)
    assert perceived(path, 9) == (list(range(9)), list(range(9)))
    assert probe(path).duration_s == pytest.approx(9, abs=0.3)


@pytest.mark.parametrize("start_s", [40, 3600])
def test_a_joined_recording_whose_clock_is_ahead_follows_at_once(tmp_path: Path, start_s: int) -> None:
    path = write_seconds(tmp_path / "a.ts", range(3), picture="libx264", sound="aac")
    later = write_seconds(tmp_path / "b.ts", range(3, 6), picture="libx264", sound="aac", start_s=start_s)
    path.write_bytes(path.read_bytes() + later.read_bytes())
    assert perceived(path, 6) == (list(range(6)), list(range(6)))


def test_joined_sound_follows_too(tmp_path: Path) -> None:
    path = join(tmp_path, "ogg", [range(3), range(3, 6)], sound="libopus", rate_hz=48000)
    spans = [Span(second + 0.2, second + 0.8) for second in range(6)]
    sounds = dict(read_audio(path, RATE_HZ, spans))
    assert [second_heard(sounds[place]) for place in range(6)] == list(range(6))
    assert probe(path).duration_s == pytest.approx(6, abs=0.1)


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("webm", {"picture": "libvpx", "sound": "libopus", "rate_hz": 48000}),
        ("mkv", {"sound": "pcm_s16le"}),
        ("mp4", {"picture": "libx264", "options": {"movflags": "frag_keyframe+empty_moov"}}),
    ],
)
def test_a_clock_that_goes_back_where_none_may_is_refused(tmp_path: Path, kind: str, how: dict) -> None:
    path = join(tmp_path, kind, [range(3), range(3, 6)], **how)
    found = probe(path)
    assert found.image_problem == found.audio_problem
    assert re.fullmatch(r"its time goes back from [23]\.\d to 0\.\d s", found.image_problem)
    with pytest.raises(MediaError, match="its time goes back"):
        list((read_audio if kind == "mkv" else read_frames)(path, RATE_HZ))


def test_a_clock_that_wraps_after_26_hours_goes_on(tmp_path: Path) -> None:
    wraps_after_4_s = {"output_ts_offset": str(2**33 / 90000 - 4)}
    path = write_seconds(
        tmp_path / "wrap.ts", range(8), picture="libx264", sound="aac", options=wraps_after_4_s
    )
    assert perceived(path, 8) == (list(range(8)), list(range(8)))
    assert probe(path).duration_s == pytest.approx(8, abs=0.1)


@pytest.mark.parametrize("kind", ["mkv", "mp4", "ts"])
def test_a_recording_whose_clock_starts_at_an_hour_starts_at_0(tmp_path: Path, kind: str) -> None:
    path = write_seconds(tmp_path / f"late.{kind}", range(4), picture="libx264", sound="aac", start_s=3600)
    assert perceived(path, 4) == (list(range(4)), list(range(4)))
    assert probe(path).duration_s == pytest.approx(4, abs=0.1)
