"""Ranks of models over corpora and seeds, and how far apart they must lie (Demšar, JMLR 7, 2006)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata, studentized_range

LEAST_MODELS, LEAST_BLOCKS = 3, 2
"""Two models are compared by their difference; one block ranks them as its scores do."""
LEVEL = 0.05


@dataclass(frozen=True)
class Ranks:
    """k models in N blocks, each a training of every model with one seed on one corpus."""

    mean: dict[str, float]
    """By model, from the best: 1 is the highest score in every block; equal scores share their ranks."""
    blocks: int
    """N."""
    critical_difference: float
    """Of mean ranks, by Nemenyi's test at the level of 5 %: q sqrt(k (k + 1) / (6 N)), where q is the
    studentised range of k models over sqrt(2)."""


def rank_models(scores: Mapping[str, Mapping[Hashable, float]]) -> Ranks | None:
    """From each model's score by block, over the blocks of the first; models that lack one are left out.

    None where there are too few models or blocks.
    """
    shared = next(iter(scores.values()), {}).keys()
    scores = {model: own for model, own in scores.items() if shared <= own.keys()}
    models, blocks = len(scores), len(shared)
    if models < LEAST_MODELS or blocks < LEAST_BLOCKS:
        return None
    table = np.array([[own[block] for block in shared] for own in scores.values()])
    mean = dict(zip(scores, rankdata(-table, axis=0).mean(axis=1).tolist(), strict=True))
    q = studentized_range.ppf(1 - LEVEL, models, np.inf) / np.sqrt(2)
    return Ranks(
        mean=dict(sorted(mean.items(), key=lambda each: each[1])),
        blocks=blocks,
        critical_difference=float(q * np.sqrt(models * (models + 1) / (6 * blocks))),
    )
