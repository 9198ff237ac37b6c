"""Where the dialogues of a feature file lie, and who speaks in them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from pipeline.features.file import Features


@dataclass(frozen=True)
class Dialogue:
    """A dialogue's rows in the feature file; they are contiguous."""

    name: str
    split: str
    rows: range


def find_dialogues(features: Features) -> list[Dialogue]:
    """The dialogues in the file's order."""
    dialogues, start = [], 0
    for name, rows in groupby(features.dialogue):
        stop = start + sum(1 for _ in rows)
        dialogues.append(Dialogue(str(name), str(features.split[start]), range(start, stop)))
        start = stop
    return dialogues


def number_speakers(features: Features) -> np.ndarray:
    """int64 [N]: the speakers of each dialogue, numbered from 0 by first appearance in it."""
    numbers = np.zeros(len(features), np.int64)
    for dialogue in find_dialogues(features):
        number_of: dict[str, int] = {}
        for row in dialogue.rows:
            numbers[row] = number_of.setdefault(str(features.speaker[row]), len(number_of))
    return numbers
