"""Metrics of predictions [4.3]: weighted F1 first, as fractions from 0 to 1, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

RESAMPLES = 10_000
CONFIDENCE = 0.95
RESAMPLING_SEED = 0


@dataclass(frozen=True)
class Metrics:
    """A class that is neither actual nor predicted has F1 0: it lowers macro F1 and not weighted F1."""

    weighted_f1: float
    macro_f1: float
    accuracy: float
    f1: dict[str, float]
    """By label name."""
    support: dict[str, int]
    """Utterances that have the label, by label name."""
    confusion: np.ndarray
    """int64 [classes, classes]: rows actual, columns predicted."""


class Interval(NamedTuple):
    """A confidence interval of weighted F1, as fractions."""

    low: float
    high: float


def compute_metrics(label: np.ndarray, prediction: np.ndarray, label_names: Sequence[str]) -> Metrics:
    """Metrics of predictions [n] against labels [n], both indices into ``label_names``; n at least 1."""
    classes = list(range(len(label_names)))

    def f1(average: str | None) -> np.ndarray:
        return f1_score(label, prediction, labels=classes, average=average, zero_division=0)

    confusion = confusion_matrix(label, prediction, labels=classes)
    return Metrics(
        weighted_f1=float(f1("weighted")),
        macro_f1=float(f1("macro")),
        accuracy=float(accuracy_score(label, prediction)),
        f1=dict(zip(label_names, map(float, f1(None)), strict=True)),
        support=dict(zip(label_names, map(int, confusion.sum(axis=1)), strict=True)),
        confusion=confusion,
    )


def bootstrap_interval(
    label: np.ndarray, predictions: Sequence[np.ndarray], dialogue: np.ndarray, classes: int
) -> Interval | None:
    """Percentile bootstrap (Efron and Tibshirani 1993, ch. 13) of weighted F1, averaged over seeds.

    Whole dialogues are drawn with replacement, because the utterances of one dialogue depend on each
    other; drawing single utterances would claim too much certainty.  The interval says how much the
    figure hangs on which dialogues are tested, not how much on the seed.  ``label`` [n] and each seed's
    ``predictions`` [n] are class indices, ``dialogue`` [n] names; None where there is only one dialogue.
    """
    names, place = np.unique(dialogue, return_inverse=True)
    if len(names) < 2:
        return None
    draws = np.random.default_rng(RESAMPLING_SEED).multinomial(
        len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES
    )
    scores = np.zeros(RESAMPLES)
    for prediction in predictions:
        confusions = np.zeros((len(names), classes, classes))
        np.add.at(confusions, (place, label, prediction), 1)
        drawn = draws @ confusions.reshape(len(names), -1)
        scores += weighted_f1(drawn.reshape(RESAMPLES, classes, classes))
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(scores / len(predictions), [tail, 100 - tail])
    return Interval(float(low), float(high))


def weighted_f1(confusion: np.ndarray) -> np.ndarray:
    """Weighted F1 [...] of confusion matrices [..., classes, classes], rows actual, columns predicted."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    support, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    # 2 TP / (2 TP + FP + FN); a class that is neither actual nor predicted has support 0, so it adds 0.
    f1 = 2 * hits / np.maximum(support + predicted, 1)
    return (support * f1).sum(axis=-1) / support.sum(axis=-1)
