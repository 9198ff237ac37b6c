"""Two models on the same test utterances: which of them only one gets right."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from pipeline.report.predicted import Predicted

CONTEXT = 2
"""Utterances before one, within its dialogue, that are shown with it."""


@dataclass(frozen=True)
class Line:
    """An utterance as it is read."""

    id: str
    speaker: str
    text: str


@dataclass(frozen=True)
class Case:
    """An utterance that every seed of one model gets right, and no seed of the other."""

    line: Line
    context: list[Line]
    label: str
    taken_for: str
    """What the other's seeds predict, the most frequent first."""
    margin: float
    """By how much the label is more probable to the one than to the other, from 0 to 1."""


def align(predicted: Predicted, other: Predicted) -> np.ndarray | None:
    """int64 [n]: rows of ``predicted`` for the labelled rows of ``other``.

    None where they are not the same utterances with the same labels.
    """
    place = {name: row for row, name in enumerate(predicted.id)}
    rows = np.array([place.get(name, -1) for name in other.id[other.labelled]], np.int64)
    if not len(rows) or (rows < 0).any() or len(rows) != predicted.labelled.sum():
        return None
    same = (predicted.label[rows] == other.label[other.labelled]).all()
    same &= (predicted.dialogue[rows] == other.dialogue[other.labelled]).all()
    return rows if same else None


def only_right(predicted: Predicted, rows: np.ndarray, other: Predicted, others: np.ndarray) -> list[Case]:
    """Utterances that ``predicted`` alone gets right, the clearest first.

    ``rows`` and ``others`` are those of the same utterances, all with a label, in either.
    """
    right = np.all([found[rows] == predicted.label[rows] for found in predicted.predictions.values()], axis=0)
    wrong = np.all([found[others] != other.label[others] for found in other.predictions.values()], axis=0)
    margin = predicted.p_label[rows] - other.p_label[others]
    chosen = np.flatnonzero(right & wrong)
    chosen = chosen[np.argsort(-margin[chosen], kind="stable")]
    return [_describe(predicted, rows[each], other, others[each], margin[each]) for each in chosen]


def _describe(predicted: Predicted, row: int, other: Predicted, others: int, margin: float) -> Case:
    first = row
    while first > 0 and row - first < CONTEXT and predicted.dialogue[first - 1] == predicted.dialogue[row]:
        first -= 1
    counts = Counter(found[others] for found in other.predictions.values())
    return Case(
        line=_line(predicted, row),
        context=[_line(predicted, each) for each in range(first, row)],
        label=predicted.label[row],
        taken_for=", ".join(name for name, _ in counts.most_common()),
        margin=float(margin),
    )


def _line(predicted: Predicted, row: int) -> Line:
    return Line(str(predicted.id[row]), str(predicted.speaker[row]), str(predicted.text[row]))
