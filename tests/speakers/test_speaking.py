from __future__ import annotations

import numpy as np
import pytest

from pipeline.speakers.choice import LARGEST, LIPS, choose_speaker, mostly
from pipeline.speakers.loudness import SAMPLE_RATE_HZ, Loudness, measure
from pipeline.speakers.speaking import LEAST_SCORE, score

RATE_HZ = 25


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise whose loudness changes about four times a second, as that of syllables: float32 [n] at 16 kHz."""
    rng = np.random.default_rng(seed)
    knots = rng.uniform(0, 1, round(4 * seconds) + 2) ** 2
    samples = np.arange(round(seconds * SAMPLE_RATE_HZ))
    loud = np.interp(samples * 4 / SAMPLE_RATE_HZ, np.arange(len(knots)), knots)
    return (0.3 * loud * rng.standard_normal(len(loud))).astype(np.float32)


def follow(loudness: Loudness, delay_s: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Times, and the motion of a mouth that moves as the loudness changes, ahead of it by ``delay_s``."""
    times_s = np.arange(0.1, 2.9, 1 / RATE_HZ)
    change = loudness.change_at(times_s + delay_s)
    noise = 0.03 * np.random.default_rng(seed).standard_normal(len(times_s))
    return times_s, 0.1 + 0.15 * change / change.mean() + np.abs(noise)


@pytest.fixture
def heard() -> Loudness:
    return measure(speech(3), 0.0)


@pytest.mark.parametrize("delay_s", [-0.06, 0.0, 0.1])
def test_a_mouth_that_moves_with_the_sound_speaks_even_a_little_ahead_or_late(
    heard: Loudness, delay_s: float
) -> None:
    assert score(*follow(heard, delay_s), heard) > 0.5


def test_a_mouth_that_follows_another_sound_or_chews_does_not_speak(heard: Loudness) -> None:
    times_s, mimed = follow(measure(speech(3, seed=9), 0.0))
    assert score(times_s, mimed, heard) < LEAST_SCORE
    assert score(times_s, 0.2 + 0.1 * np.sin(2 * np.pi * 1.4 * times_s), heard) < LEAST_SCORE


def test_a_mouth_that_hardly_moves_does_not_speak_however_well_it_agrees(heard: Loudness) -> None:
    times_s, motion = follow(heard)
    assert score(times_s, 0.2 * motion, heard) == 0


def test_nothing_can_be_said_without_sound_without_time_stamps_or_of_a_moment(heard: Loudness) -> None:
    times_s, motion = follow(heard)
    assert score(times_s, motion, measure(np.zeros(48_000, np.float32), 0.0)) == 0
    assert score(times_s, motion, measure(np.empty(0, np.float32), 0.0)) == 0
    assert score(times_s * np.nan, motion, heard) == 0
    assert score(times_s[:10], motion[:10], heard) == 0
    assert score(times_s[:0], motion[:0], heard) == 0
    assert score(times_s, np.full(len(times_s), 0.3), heard) == 0


def test_loudness_lies_where_the_sound_starts_and_does_not_depend_on_its_level() -> None:
    samples = np.zeros(SAMPLE_RATE_HZ, np.float32)
    samples[8000:] = 0.1
    times_s = np.arange(1.0, 3.0, 0.01)
    for gain in (1, 0.01):
        change = measure(gain * samples, 1.2).change_at(times_s)
        assert times_s[change.argmax()] == pytest.approx(1.7, abs=0.02)
        assert change[times_s < 1.2].max() == 0


def test_the_likeliest_face_of_each_frame_counts_by_its_score_and_unlikely_frames_do_not() -> None:
    frame = np.array([0, 0, 5, 5, 9])
    boxes = np.array([[0, 0, 50, 50], [60, 0, 80, 20]] * 2 + [[0, 0, 50, 50]], np.float32)
    choice = choose_speaker(frame, boxes, np.array([0.1, 0.6, 0.3, 0.4, 0.1], np.float32))
    assert choice.evidence == LIPS
    np.testing.assert_allclose(choice.weight, [0, 0.6, 0, 0.4, 0], rtol=1e-6)
    assert mostly(np.array([0, 1, 0, 1, 0]), choice.weight) == 1


def test_where_nobody_is_likely_the_largest_face_of_each_frame_counts_and_it_says_so() -> None:
    frame, boxes = np.array([0, 0, 5]), np.array([[0, 0, 9, 9], [0, 0, 20, 20], [0, 0, 5, 5]], np.float32)
    choice = choose_speaker(frame, boxes, np.array([0.19, 0.0, 0.1], np.float32))
    assert choice.evidence == LARGEST
    assert choice.weight.tolist() == [0, 1, 1]


def test_no_faces_are_no_error() -> None:
    choice = choose_speaker(np.empty(0, int), np.empty((0, 4), np.float32), np.empty(0, np.float32))
    assert choice.weight.shape == (0,)
    assert mostly(np.empty(0, int), choice.weight) == -1
