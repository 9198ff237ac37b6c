"""The simplest method on the same features: logistic regression on each utterance alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.features.content import UNLABELLED
from train.data import Dialogues
from train.metrics import compute_metrics

# Inverse strength of its L2 penalty; which serves best is seen on validation.
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
ITERATIONS = 100


def baselines(dialogues: Dialogues, *, refit: bool) -> dict[str, dict[str, float]]:
    """Weighted F1 (0 to 1) by split, of each modality alone and of all together.

    Features are those that a network gets, zero where unobserved; a split without labels is left out.  With
    ``refit`` the test split is predicted after training on train and dev, as a network is then.
    """
    sets = {name: [name] for name in dialogues.features}
    if len(sets) > 1:
        sets[" + ".join(sets)] = list(sets)
    return {name: logistic_regression(dialogues, modalities, refit) for name, modalities in sets.items()}


def logistic_regression(dialogues: Dialogues, modalities: Sequence[str], refit: bool) -> dict[str, float]:
    """Weighted F1 by split of a logistic regression on some modalities, side by side."""
    features = np.hstack([dialogues.features[name].cpu().numpy() for name in modalities])
    label = dialogues.label.cpu().numpy()
    rows = {split: _labelled_rows(dialogues, split, label) for split in dialogues.spans}
    splits = [split for split in ("dev", "test") if len(rows[split])]

    def scores(train: np.ndarray, strengths: Sequence[float]) -> Iterator[dict[str, float]]:
        for predicted in _predict(features, label, train, strengths):
            yield {
                split: compute_metrics(
                    label[rows[split]], predicted[rows[split]], dialogues.label_names
                ).weighted_f1
                for split in splits
            }

    chosen = list(scores(rows["train"], STRENGTHS))
    best = max(range(len(STRENGTHS)), key=lambda place: chosen[place]["dev"])  # the first of equals
    if not refit:
        return chosen[best]
    (refitted,) = scores(np.concatenate([rows["train"], rows["dev"]]), [STRENGTHS[best]])
    return refitted | {"dev": chosen[best]["dev"]}


def _predict(
    features: np.ndarray, label: np.ndarray, train: np.ndarray, strengths: Sequence[float]
) -> Iterator[np.ndarray]:
    """The classes of all utterances [N] by each strength, learnt from the rows ``train``."""
    from sklearn.exceptions import ConvergenceWarning  # takes as long to import as torch
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(label[train])) == 1:  # which scikit-learn refuses
        yield from [np.full_like(label, label[train][0])] * len(strengths)
        return
    model = LogisticRegression(warm_start=True, max_iter=ITERATIONS)
    for strength in strengths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # stopped early it is a baseline still
            model.set_params(C=strength).fit(features[train], label[train])
        yield model.predict(features)


def _labelled_rows(dialogues: Dialogues, split: str, label: np.ndarray) -> np.ndarray:
    rows = np.array([row for span in dialogues.spans[split] for row in span], np.int64)
    return rows[label[rows] != UNLABELLED]
