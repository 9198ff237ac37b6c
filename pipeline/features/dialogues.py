"""Where the dialogues of a feature file lie, and who speaks in them."""

from __future__ import annotations

import hashlib
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


def arrange_dialogues(features: Features) -> list[Dialogue]:
    """The dialogues in an order that hangs on neither their names nor their places in the file.

    It is that of digests of what a network learns from: labels, numbers of speakers, and the modalities that
    were read.  So the same dialogues give the same model to the last bit, whatever they are called, however
    they are sorted; of those that are equal it is no matter which is first.
    """
    speaker = number_speakers(features)
    modalities = [modality for _, modality in sorted(features.modalities.items())]

    def digest(dialogue: Dialogue) -> bytes:
        rows = slice(dialogue.rows.start, dialogue.rows.stop)
        content = hashlib.sha256(features.label[rows].tobytes() + speaker[rows].tobytes())
        for modality in modalities:
            content.update(modality.observed[rows].tobytes())
            content.update(np.ascontiguousarray(modality.features[rows]).data)  # as it lies there, not a copy
        return content.digest()

    return sorted(find_dialogues(features), key=digest)


def number_speakers(features: Features) -> np.ndarray:
    """int64 [N]: the speakers of each dialogue, numbered from 0 by first appearance in it."""
    numbers = np.zeros(len(features), np.int64)
    for dialogue in find_dialogues(features):
        number_of: dict[str, int] = {}
        for row in dialogue.rows:
            numbers[row] = number_of.setdefault(str(features.speaker[row]), len(number_of))
    return numbers
