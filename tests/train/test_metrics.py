"""Metrics on a case that can be done by hand, and the interval against a literal bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

import train.metrics
from train.metrics import bootstrap_interval, compute_metrics


def test_metrics_of_a_case_done_by_hand():
    label = np.array([0, 0, 0, 1, 1, 2])
    prediction = np.array([0, 0, 1, 1, 0, 0])
    metrics = compute_metrics(label, prediction, ["a", "b", "c", "d"])
    # a: precision 2/4, recall 2/3; b: 1/2, 1/2; c never predicted; d absent
    assert metrics.f1 == pytest.approx({"a": 4 / 7, "b": 0.5, "c": 0, "d": 0})
    assert metrics.weighted_f1 == pytest.approx((3 * 4 / 7 + 2 * 0.5) / 6)
    assert metrics.macro_f1 == pytest.approx((4 / 7 + 0.5) / 4)
    assert metrics.accuracy == pytest.approx(0.5)
    assert metrics.support == {"a": 3, "b": 2, "c": 1, "d": 0}
    assert metrics.confusion.tolist() == [[2, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


@pytest.fixture
def tested() -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Labels, predictions of two seeds, and dialogues of 60 utterances in 12 dialogues."""
    random = np.random.default_rng(1)
    label = random.integers(4, size=60)
    predictions = [
        np.where(random.random(60) < right, label, random.integers(4, size=60)) for right in (0.5, 0.7)
    ]
    return label, predictions, np.repeat([f"dia{number}" for number in range(12)], 5)


def test_the_interval_is_that_of_drawing_whole_dialogues_one_by_one(tested, monkeypatch):
    monkeypatch.setattr(train.metrics, "RESAMPLES", 200)
    label, predictions, dialogue = tested
    names = np.unique(dialogue)
    draws = np.random.default_rng(train.metrics.RESAMPLING_SEED).multinomial(
        12, np.full(12, 1 / 12), size=200
    )
    scores = []
    for draw in draws:
        rows = np.concatenate(
            [
                np.flatnonzero(dialogue == name)
                for name, times in zip(names, draw, strict=True)
                for _ in range(times)
            ]
        )
        scores.append(
            np.mean(
                [f1_score(label[rows], p[rows], average="weighted", zero_division=0) for p in predictions]
            )
        )
    expected = np.percentile(scores, [2.5, 97.5])
    assert bootstrap_interval(label, predictions, dialogue, 4) == pytest.approx(tuple(expected))


def test_the_interval_holds_the_score_and_is_wider_by_dialogues_than_by_utterances(tested):
    label, _, dialogue = tested
    wrong = np.isin(dialogue, ["dia0", "dia1", "dia2"])  # dialogues that go wrong as a whole
    prediction = np.where(wrong, (label + 1) % 4, label)
    score = compute_metrics(label, prediction, "abcd").weighted_f1
    low, high = bootstrap_interval(label, [prediction], dialogue, 4)
    assert low < score < high
    narrow_low, narrow_high = bootstrap_interval(label, [prediction], np.arange(60).astype(str), 4)
    assert high - low > 1.5 * (narrow_high - narrow_low)


def test_one_dialogue_has_no_interval(tested):
    label, predictions, _ = tested
    assert bootstrap_interval(label, predictions, np.array(["dia0"] * 60), 4) is None
