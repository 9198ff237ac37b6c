"""Intervals and p-values against a literal bootstrap, and Holm's correction by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from pipeline.report import bootstrap
from pipeline.report.bootstrap import bootstrap_scores, compare_paired, holm, interval_of


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
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)
    label, predictions, dialogue = tested
    names = list(dict.fromkeys(dialogue))
    draws = np.random.default_rng(bootstrap.RESAMPLING_SEED).multinomial(12, np.full(12, 1 / 12), size=200)
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
    drawn = bootstrap_scores(label, predictions, dialogue, 4)
    assert drawn == pytest.approx(scores)
    assert interval_of(drawn) == pytest.approx(tuple(np.percentile(scores, [2.5, 97.5])))


def test_the_interval_holds_the_score_and_is_wider_by_dialogues_than_by_utterances(tested):
    label, _, dialogue = tested
    wrong = np.isin(dialogue, ["dia0", "dia1", "dia2"])  # dialogues that go wrong as a whole
    prediction = np.where(wrong, (label + 1) % 4, label)
    score = f1_score(label, prediction, average="weighted")
    low, high = interval_of(bootstrap_scores(label, [prediction], dialogue, 4))
    assert low < score < high
    by_utterance = bootstrap_scores(label, [prediction], np.arange(60).astype(str), 4)
    narrow_low, narrow_high = interval_of(by_utterance)
    assert high - low > 1.5 * (narrow_high - narrow_low)


def test_one_dialogue_has_no_interval(tested):
    label, predictions, _ = tested
    assert bootstrap_scores(label, predictions, np.array(["dia0"] * 60), 4) is None


def test_a_difference_is_taken_in_the_same_draws(tested):
    """So that of two models that err alike it is surer than either score."""
    label, (one, _), dialogue = tested
    better = np.where(dialogue == "dia3", label, one)
    scores = [bootstrap_scores(label, [each], dialogue, 4) for each in (better, one)]
    paired = compare_paired(*scores)
    assert -1e-9 < paired.interval.low < paired.interval.high
    alone = [interval_of(each) for each in scores]
    assert paired.interval.high - paired.interval.low < min(each.high - each.low for each in alone)
    # A third of draws are without the one dialogue in which they differ.
    missing = (1 - 1 / 12) ** 12
    assert paired.p == pytest.approx(2 * missing, abs=0.03)


def test_p_is_as_small_as_the_draws_can_tell_one_without_a_difference_and_agrees_with_the_interval():
    same = np.zeros(9999)
    assert compare_paired(same + 0.1, same).p == pytest.approx(2 / 10_000)
    assert compare_paired(same, same).p == 1
    random = np.random.default_rng(0)
    for mean in np.linspace(-0.05, 0.05, 21):
        paired = compare_paired(random.normal(mean, 0.02, 9999), same)
        leaves_zero_out = not paired.interval.low <= 0 <= paired.interval.high
        assert (paired.p < 0.05) == leaves_zero_out


def test_holm_multiplies_the_smallest_most_and_keeps_the_order():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
