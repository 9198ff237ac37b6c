"""Durations are measured, not believed."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.media.probe import probe
from pipeline.media.timeline import read_timeline
from tests.media.numbered_video import write_numbered_video
from tests.media.seconds import RATE_HZ, write_seconds

VARIABLE_RATE = {"flags": "+qscale", "global_quality": "236"}


def test_a_browser_s_recording_without_a_duration_is_measured(tmp_path: Path) -> None:
    path = write_seconds(
        tmp_path / "live.webm",
        range(3),
        picture="libvpx",
        sound="libopus",
        rate_hz=48000,
        options={"live": "1"},
    )
    with av.open(path) as container:
        assert container.duration is None
    assert probe(path).duration_s == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("adts.aac", "aac", {}), ("vbr.mp3", "libmp3lame", {"write_xing": "0"})],
)
def test_where_the_container_estimates_the_duration_it_is_measured(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    """Noise and then silence at a variable bit rate, so that an estimate from the beginning is far off."""
    path = tmp_path / name
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 5 * RATE_HZ)
    samples = np.concatenate([noise, np.zeros(15 * RATE_HZ)]).astype(np.float32)
    with av.open(path, "w", options=options) as container:
        stream = container.add_stream(codec, rate=RATE_HZ, layout="mono", options=VARIABLE_RATE)
        frame = av.AudioFrame.from_ndarray(samples[None], "fltp", "mono")
        frame.sample_rate = RATE_HZ
        container.mux([*stream.encode(frame), *stream.encode()])
    with av.open(path) as container:
        assert container.duration is not None
        assert abs(container.duration / av.time_base - 20) > 1
    assert probe(path).duration_s == pytest.approx(20, abs=0.2)


def test_a_file_cut_off_lasts_as_long_as_it_can_be_seen(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "cut.mp4", 100, container_options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    found = probe(path)
    assert found.duration_s == pytest.approx(found.frame_count / 25, abs=0.1)
    assert found.duration_s < 3.5


def test_pictures_without_time_stamps_have_no_times(tmp_path: Path) -> None:
    timeline = read_timeline(write_numbered_video(tmp_path / "raw.h264", 10))
    assert np.isnan(timeline.pictures_s).tolist() == [True] * 10
    assert timeline.end_s == 0


@pytest.mark.parametrize(("name", "in_order"), [("a.mp4", True), ("a.avi", False)])
def test_stamps_that_are_only_of_decoding_are_told(tmp_path: Path, name: str, in_order: bool) -> None:
    options = {"bf": "3", "b_strategy": "0"}
    timeline = read_timeline(write_numbered_video(tmp_path / name, 20, options=options))
    assert timeline.in_order == in_order
