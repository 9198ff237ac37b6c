"""The simplest method on the same features: logistic regression on each utterance alone."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from train.data import IGNORED_LABEL, Dialogues
from train.metrics import compute_metrics

# Inverse strength of its L2 penalty; which serves best is seen on validation.
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
ITERATIONS = 100


def baselines(dialogues: Dialogues) -> dict[str, dict[str, float]]:
    """Weighted F1 (0 to 1) by split, of each modality alone and of all together.

    Features are those that a network gets, zero where unobserved; a split without labels is left out.
    """
    sets = {name: [name] for name in dialogues.features}
    if len(sets) > 1:
        sets[" + ".join(sets)] = list(sets)
    return {name: logistic_regression(dialogues, modalities) for name, modalities in sets.items()}


def logistic_regression(dialogues: Dialogues, modalities: Sequence[str]) -> dict[str, float]:
    """Weighted F1 by split of a logistic regression on some modalities, side by side."""
    from sklearn.exceptions import ConvergenceWarning  # takes as long to import as torch
    from sklearn.linear_model import LogisticRegression

    features = np.hstack([dialogues.features[name].cpu().numpy() for name in modalities])
    label = dialogues.label.cpu().numpy()
    rows = {split: _labelled_rows(dialogues, split, label) for split in dialogues.spans}
    best: Mapping[str, float] = {}
    model = LogisticRegression(warm_start=True, max_iter=ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopped early it is a baseline still
        for strength in STRENGTHS:
            model.set_params(C=strength).fit(features[rows["train"]], label[rows["train"]])
            scores = {
                split: compute_metrics(
                    label[rows[split]], model.predict(features[rows[split]]), dialogues.label_names
                ).weighted_f1
                for split in ("dev", "test")
                if len(rows[split])
            }
            if not best or scores["dev"] > best["dev"]:
                best = scores
    return dict(best)


def _labelled_rows(dialogues: Dialogues, split: str, label: np.ndarray) -> np.ndarray:
    rows = np.array([row for span in dialogues.spans[split] for row in span], np.int64)
    return rows[label[rows] != IGNORED_LABEL]
