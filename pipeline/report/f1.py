"""F1 of confusion matrices [..., classes, classes], rows actual, columns predicted; any number at a time."""

from __future__ import annotations

import numpy as np


def weighted_f1(confusion: np.ndarray) -> np.ndarray:
    """[...]: F1 of the classes, weighted by how many utterances are of each."""
    support = confusion.sum(axis=-1)
    return (support * f1_by_class(confusion)).sum(axis=-1) / support.sum(axis=-1)


def f1_by_class(confusion: np.ndarray) -> np.ndarray:
    """[..., classes]; 0 for a class that is neither actual nor predicted."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    support, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    return 2 * hits / np.maximum(support + predicted, 1)  # 2 TP / (2 TP + FP + FN)
