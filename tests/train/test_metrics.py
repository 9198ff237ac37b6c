"""Metrics on a case that can be done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from train.metrics import compute_metrics


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
