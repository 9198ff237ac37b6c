"""How much weighted F1, or a difference of two, hangs on which dialogues were tested.

Percentile bootstrap (Efron and Tibshirani 1993, ch. 13).  Whole dialogues are drawn with replacement, because
the utterances of one dialogue depend on each other; drawing single utterances would claim too much certainty.
In each draw the score is averaged over seeds: what is found says nothing about other seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from pipeline.report.f1 import weighted_f1

RESAMPLES = 10_000
CONFIDENCE = 0.95
RESAMPLING_SEED = 0


class Interval(NamedTuple):
    """A confidence interval, as fractions."""

    low: float
    high: float


@dataclass(frozen=True)
class Paired:
    """Weighted F1 of one model less that of another on the same utterances, as fractions."""

    interval: Interval
    p: float
    """Two-sided: of no difference, over draws of dialogues."""


def bootstrap_scores(
    label: np.ndarray, predictions: Sequence[np.ndarray], dialogue: np.ndarray, classes: int
) -> np.ndarray | None:
    """Weighted F1 [RESAMPLES] of each draw, the same draws for whatever is tested on the same dialogues.

    ``label`` [n] and each seed's ``predictions`` [n] are class indices, ``dialogue`` [n] names, of which the
    order of first appearance counts; None where there is only one dialogue.
    """
    names = {name: number for number, name in enumerate(dict.fromkeys(dialogue.tolist()))}
    place = np.array([names[name] for name in dialogue.tolist()], np.int64)
    if len(names) < 2:
        return None
    draws = _draws(len(names), RESAMPLES)
    scores = np.zeros(RESAMPLES)
    for prediction in predictions:
        confusions = np.zeros((len(names), classes, classes))
        np.add.at(confusions, (place, label, prediction), 1)
        drawn = draws @ confusions.reshape(len(names), -1)
        scores += weighted_f1(drawn.reshape(RESAMPLES, classes, classes))
    return scores / len(predictions)


def interval_of(scores: np.ndarray) -> Interval:
    """The middle 95 % of the draws."""
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(scores, [tail, 100 - tail])
    return Interval(float(low), float(high))


def compare_paired(scores: np.ndarray, others: np.ndarray) -> Paired:
    """The difference of two models' ``bootstrap_scores`` on the same utterances.

    p is twice the share of draws on the rarer side of zero, the observed one counted in (Davison and Hinkley
    1997, 4.11), so that it is never zero; it falls below 5 % where the interval leaves zero out.
    """
    difference = scores - others
    rarer = min((difference <= 0).sum(), (difference >= 0).sum())
    p = min(1.0, 2 * (1 + int(rarer)) / (1 + len(difference)))
    return Paired(interval_of(difference), p)


def holm(p: Sequence[float]) -> list[float]:
    """p-values of several tests, corrected so that one in twenty times at most any is wrongly below 5 %.

    (Holm 1979: the smallest is multiplied by how many there are, the next by one less, and so on.)
    """
    corrected = [0.0] * len(p)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        highest = max(highest, min(1.0, (len(p) - rank) * p[place]))
        corrected[place] = highest
    return corrected


@lru_cache(maxsize=1)
def _draws(dialogues: int, draws: int) -> np.ndarray:
    """float64 [draws, dialogues]: how often each is drawn."""
    random = np.random.default_rng(RESAMPLING_SEED)
    shares = np.full(dialogues, 1 / dialogues)
    return random.multinomial(dialogues, shares, size=draws).astype(np.float64)
