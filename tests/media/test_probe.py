from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.manifest import Medium
from pipeline.media.decoding import MediaError, Span
from pipeline.media.frames import frames_at, read_frames, sample_indices
from pipeline.media.probe import probe
from tests.media.sounds import read_audio

GREY_STEP = 4


def write_video(path: Path, frames: int, *, b_frames: int = 0, sound: np.ndarray | None = None) -> Path:
    """H.264 whose frame i is grey level GREY_STEP * i, with an optional sine track."""
    with av.open(path, "w") as container:
        options = {"bf": str(b_frames), "g": "10", "crf": "5"}
        video = container.add_stream(
            "libx264", rate=25, options=options, width=64, height=48, pix_fmt="yuv420p"
        )
        audio = container.add_stream("pcm_s16le", rate=44100, layout="5.1") if sound is not None else None
        for number in range(frames):
            image = np.full((48, 64, 3), GREY_STEP * number, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(video.encode())
        if audio is not None and sound is not None:
            block = av.AudioFrame.from_ndarray(sound, "s16", "5.1")
            block.sample_rate = 44100
            container.mux(audio.encode(block))
            container.mux(audio.encode())
    return path


def numbers_shown(images: list[np.ndarray]) -> list[int]:
    return [round(float(image.mean()) / GREY_STEP) for image in images]


@pytest.mark.parametrize("count", [20, 21, 39, 40, 57, 1000])
def test_sampled_frames_lie_at_floor_of_i_times_n_over_20(count: int) -> None:
    assert sample_indices(count, 20) == [int(np.floor(i * count / 20)) for i in range(20)]


def test_a_video_shorter_than_20_frames_gives_each_frame_once() -> None:
    assert sample_indices(7, 20) == [0, 1, 2, 3, 4, 5, 6]
    assert sample_indices(0, 20) == []


@pytest.mark.parametrize("b_frames", [0, 3])
def test_the_frames_read_are_the_frames_asked_for(tmp_path: Path, b_frames: int) -> None:
    path = write_video(tmp_path / "numbered.mp4", 53, b_frames=b_frames)
    [(_, frames)] = read_frames(path, 20)
    assert frames.indices == sample_indices(53, 20)
    assert numbers_shown(frames.images) == frames.indices
    at = dict(frames_at(path, [50, 3, 17]))
    assert numbers_shown(list(at.values())) == list(at) == [3, 17, 50]


def test_each_span_of_a_file_is_sampled_by_itself(tmp_path: Path) -> None:
    path = write_video(tmp_path / "dialogue.mp4", 60, b_frames=2)
    # At 25 frames/s: frames 10 to 24, frames 30 to 49, and nothing beyond the end.
    parts = dict(read_frames(path, 5, [Span(0.4, 1.0), Span(1.2, 2.0), Span(9, 10)]))
    assert [parts[place].indices for place in range(3)] == [[10, 13, 16, 19, 22], [30, 34, 38, 42, 46], []]
    assert [numbers_shown(part.images) for part in parts.values()] == [
        part.indices for part in parts.values()
    ]


def test_a_frame_beyond_the_end_is_an_error(tmp_path: Path) -> None:
    path = write_video(tmp_path / "short.mp4", 5)
    with pytest.raises(MediaError, match="frame 5 cannot be decoded"):
        list(frames_at(path, [1, 5]))


def test_sound_of_six_channels_becomes_mono_at_16_khz_and_keeps_its_length_and_pitch(tmp_path: Path) -> None:
    seconds = np.arange(44100) / 44100
    sine = (8000 * np.sin(2 * np.pi * 440 * seconds)).astype(np.int16)
    path = write_video(tmp_path / "surround.mkv", 25, sound=np.repeat(sine, 6).reshape(1, -1))
    [(_, samples)] = read_audio(path, 16000)
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(16000, abs=20)
    loudest_hz = np.abs(np.fft.rfft(samples)).argmax() * 16000 / len(samples)
    assert loudest_hz == pytest.approx(440, abs=2)
    assert 0.05 < np.abs(samples).max() <= 1


def test_spans_cut_the_sound_exactly(demo_root: Path, sound_clip: Medium) -> None:
    path = demo_root / sound_clip.path
    [(_, whole)] = read_audio(path, 16000)
    halves = dict(read_audio(path, 16000, [Span(0, 0.5), Span(0.5)]))
    assert len(halves[0]) == 8000
    np.testing.assert_array_equal(np.concatenate([halves[0], halves[1]]), whole)


def test_the_sound_of_a_clip_lasts_as_long_as_its_picture(demo_root: Path, sound_clip: Medium) -> None:
    [(_, samples)] = read_audio(demo_root / sound_clip.path, 16000)
    # AAC pads to blocks of 1024 samples at 48 kHz.
    assert len(samples) / 16000 == pytest.approx(sound_clip.frame_count / sound_clip.frame_rate_hz, abs=0.05)


def test_probe_tells_what_a_file_contains(tmp_path: Path) -> None:
    found = probe(write_video(tmp_path / "probe.mp4", 30, b_frames=2))
    assert (found.frame_count, found.frame_rate_hz, found.width_px, found.height_px) == (30, 25.0, 64, 48)
    assert found.duration_s == pytest.approx(1.2)
    assert (found.image_problem, found.audio_problem) == ("", "no sound track")


def test_probe_gives_the_reason_for_what_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.mp4: No such file"):
        probe(tmp_path / "absent.mp4")
    whole = write_video(tmp_path / "whole.mp4", 30).read_bytes()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(whole[: len(whole) // 2])
    found = probe(broken)
    assert found.image_problem == found.audio_problem
    assert found.image_problem.startswith("cannot be opened")
    empty = tmp_path / "empty.mp4"
    empty.touch()
    assert probe(empty).image_problem.startswith("cannot be opened")
