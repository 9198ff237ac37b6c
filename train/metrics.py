"""Metrics of predictions [4.3]: weighted F1 first, as fractions from 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.report.f1 import f1_by_class, weighted_f1


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
