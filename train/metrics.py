"""Metrics of predictions [4.3]: weighted F1 first, as fractions from 0 to 1, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

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
    # Not by scikit-learn, which takes as long to import as torch, and 170 MB.
    confusion = np.zeros((len(label_names), len(label_names)), np.int64)
    np.add.at(confusion, (label, prediction), 1)
    f1 = f1_by_class(confusion)
    return Metrics(
        weighted_f1=float(weighted_f1(confusion)),
        macro_f1=float(f1.mean()),
        accuracy=float(np.mean(label == prediction)),
        f1=dict(zip(label_names, f1.tolist(), strict=True)),
        support=dict(zip(label_names, confusion.sum(axis=1).tolist(), strict=True)),
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
    support = confusion.sum(axis=-1)
    return (support * f1_by_class(confusion)).sum(axis=-1) / support.sum(axis=-1)


def f1_by_class(confusion: np.ndarray) -> np.ndarray:
    """F1 [..., classes] of the same; 0 for a class that is neither actual nor predicted."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    support, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    return 2 * hits / np.maximum(support + predicted, 1)  # 2 TP / (2 TP + FP + FN)
