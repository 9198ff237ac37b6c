"""Where the dialogues of a feature file lie, and who speaks in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np

from pipeline.features.content import Features


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
    return [dialogue for _, dialogue in sorted(_with_digests(features), key=itemgetter(0))]


def training_digest(features: Features) -> str:
    """SHA-256 of all that a network learns from, and of nothing else that the file holds.

    That is each dialogue's split, and what ``arrange_dialogues`` goes by; names of classes, and widths.
    """
    widths = {name: modality.features.shape[1] for name, modality in features.modalities.items()}
    dialogues = sorted((digest.hex(), dialogue.split) for digest, dialogue in _with_digests(features))
    content = json.dumps([features.label_names, widths, dialogues], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _with_digests(features: Features) -> Iterator[tuple[bytes, Dialogue]]:
    """Each dialogue with the digest of what a network learns from in it."""
    speaker = number_speakers(features)
    modalities = [modality for _, modality in sorted(features.modalities.items())]
    for dialogue in find_dialogues(features):
        rows = slice(dialogue.rows.start, dialogue.rows.stop)
        content = hashlib.sha256(features.label[rows].tobytes() + speaker[rows].tobytes())
        for modality in modalities:
            content.update(modality.observed[rows].tobytes())
            content.update(np.ascontiguousarray(modality.features[rows]).data)  # as it lies there, not a copy
        yield content.digest(), dialogue


def number_speakers(features: Features) -> np.ndarray:
    """int64 [N]: the speakers of each dialogue, numbered from 0 by first appearance in it."""
    numbers = np.zeros(len(features), np.int64)
    for dialogue in find_dialogues(features):
        number_of: dict[str, int] = {}
        for row in dialogue.rows:
            numbers[row] = number_of.setdefault(str(features.speaker[row]), len(number_of))
    return numbers
