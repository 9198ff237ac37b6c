"""Features as networks get them: in standard deviations from their mean in training, or as they are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.errors import UserError
from pipeline.features.content import Features
from pipeline.features.dialogues import arrange_dialogues

CLIP_STD = 10.0
"""Standardised features are cut off here.  A functional that is all but constant in training can
lie thousands of standard deviations away in one clip of another split, and would drown the rest."""

ROWS_AT_ONCE = 1024
"""Bounds float64 copies of the features."""


@dataclass(frozen=True)
class Standardisation:
    """By modality, mean and scale of each feature over the observed training utterances; float64 [D] each."""

    mean: dict[str, np.ndarray]
    scale: dict[str, np.ndarray]
    """1 / standard deviation; 0 for a feature that is constant in training, which so becomes 0."""
    limit: dict[str, float]
    """Where scaled features are cut off; infinite for a modality that is left as it is (mean 0, scale 1)."""

    def apply(self, modality: str, features: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """float32 [N, D] of features [N, D]: standardised, and 0 where not observed."""
        standardised = np.zeros(features.shape, np.float32)
        mean, scale, limit = self.mean[modality], self.scale[modality], self.limit[modality]
        for start in range(0, len(features), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            # What overflows without a limit is infinite, and no prediction comes of it.
            with np.errstate(over="ignore", invalid="ignore"):
                z = standardise(features[rows], mean, scale, limit)
                standardised[rows] = np.where(observed[rows, None], z, 0)
        return standardised


def standardise(rows: np.ndarray, mean: np.ndarray, scale: np.ndarray, limit: float = CLIP_STD) -> np.ndarray:
    """float64 [N, D]: rows float32 [N, D] in standard deviations from the mean, cut off at ``limit``."""
    return ((rows.astype(np.float64) - mean) * scale).clip(-limit, limit)


def fit_standardisation(
    features: Features, modalities: Sequence[str], unscaled: Collection[str] = ()
) -> Standardisation:
    """Statistics of the observed utterances of the training split; ``unscaled`` modalities stay as they are.

    Computed in two passes in float64, because openSMILE's functionals reach 1e13.  UserError if a
    modality was observed in no training utterance.
    """
    statistics = Standardisation({}, {}, {})
    training = training_rows(features)
    for name in modalities:
        rows = observed_features(features, name, training)
        if not len(rows):
            raise UserError(
                f"{features.corpus}: no training utterance has {name} features; quarantine.csv says why; "
                f"mend it, or leave {name} out of the model's modalities"
            )
        if name in unscaled:
            width = rows.shape[1]
            statistics.mean[name], statistics.scale[name] = np.zeros(width), np.ones(width)
            statistics.limit[name] = np.inf
            continue
        mean = rows.mean(axis=0, dtype=np.float64)
        squares, largest = np.zeros_like(mean), np.zeros_like(mean)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            some = rows[start : start + ROWS_AT_ONCE]
            squares += np.square(some - mean).sum(axis=0)
            largest = np.maximum(largest, np.abs(some).max(axis=0))
        std = np.sqrt(squares / len(rows))
        # A spread below the resolution of float32 is rounding, not information.
        varies = std > np.finfo(np.float32).eps * largest
        statistics.mean[name], statistics.limit[name] = mean, CLIP_STD
        statistics.scale[name] = np.divide(1.0, std, out=np.zeros_like(std), where=varies)
    return statistics


def training_rows(features: Features) -> np.ndarray:
    """int64 [M]: rows of the training utterances, by ``arrange_dialogues``: sums are rounded by order."""
    spans = [dialogue.rows for dialogue in arrange_dialogues(features) if dialogue.split == "train"]
    return np.array([row for span in spans for row in span], np.int64)


def observed_features(features: Features, modality: str, rows: np.ndarray) -> np.ndarray:
    """float32 [n, D]: a modality's features in those of some rows, int64 [M], in which it was observed."""
    values = features.modalities[modality]
    return values.features[rows[values.observed[rows]]]
