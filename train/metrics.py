"""Metrics of one set of predictions [4.3]: weighted F1 first, as fractions from 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score


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
