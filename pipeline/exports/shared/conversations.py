"""What conversation models read, DialogueRNN, MMGCN, SDT, their kin and the authors' MultiEMO: a tuple.

Most of it are dicts from a dialogue's key to a list with one entry for each of its utterances:

    utterance ids, speakers, labels, vectors (text, audio, visual, as the model takes them), sentences,
    keys of the training dialogues, keys of the test dialogues, nothing (not for IEMOCAP)

Validation dialogues are among those for training, first: the peers take their share from there.  For
IEMOCAP a key is the dialogue's name and a speaker is M or F.  For other corpora a key is a number
and a speaker a one-hot vector; MELD's keys are the published ones.  Labels are numbered as in the
feature file, which is as in the published files.  A vector is float32 [D], zero where the modality
was not observed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from pipeline.exports.shared.content import is_iemocap, is_meld, meld_number, width_notes
from pipeline.features.content import SPLITS, Features
from pipeline.features.dialogues import find_dialogues, number_speakers

SPEAKERS = 9
"""Most speakers of a dialogue of MELD, and so the width of a published one-hot vector."""

MELD_FIRST_KEY = {"train": 0, "dev": 1039, "test": 1153}
"""Key of dialogue 0 of each split in the published MELD files."""


def conversations(features: Features, vectors: Sequence[np.ndarray]) -> tuple[Any, ...]:
    """The tuple, with these vectors, [N, D] each, in this order."""
    columns: list[Sequence[Any]] = [
        features.id.tolist(),
        _speakers(features),
        features.label.tolist(),
        *map(list, vectors),
        features.text.tolist(),
    ]
    keys: dict[str, list[str | int]] = {split: [] for split in SPLITS}
    for key, dialogue in zip(_keys(features), find_dialogues(features), strict=True):
        keys[dialogue.split].append(key)
    unused: tuple[Any, ...] = () if is_iemocap(features) else ({},)
    dicts = (by_dialogue(features, column) for column in columns)
    return (*dicts, keys["dev"] + keys["train"], keys["test"], *unused)


def peer_notes(
    features: Features, widths: Mapping[str, int], iemocap_widths: Mapping[str, int], code: str
) -> Iterator[str]:
    """Which share of the training keys is the validation split, as the peers' code takes it; other widths."""
    dialogues = Counter(dialogue.split for dialogue in find_dialogues(features))
    if validation := dialogues["dev"]:
        keys = validation + dialogues["train"]
        yield (
            f"the validation split is the first {validation} of {keys} training keys: code that validates on"
            f" a share of {share_of_first(validation, keys)} takes exactly these"
        )
    yield from width_notes(features, iemocap_widths if is_iemocap(features) else widths, code)


def share_of_first(count_first: int, keys: int) -> float:
    """The shortest decimal of which ``int(share * keys)`` is the first so many.

    >>> share_of_first(12, 120), share_of_first(114, 1152)
    (0.1, 0.099)
    """
    shares = (math.ceil(count_first / keys * 10**digits) / 10**digits for digits in count(1))
    return next(share for share in shares if int(share * keys) == count_first)


def by_dialogue(features: Features, column: Sequence[Any]) -> dict[str | int, list[Any]]:
    """One entry for each utterance, as a dict from a dialogue's key to the list of its own."""
    spans = (dialogue.rows for dialogue in find_dialogues(features))
    values = (list(column[span.start : span.stop]) for span in spans)
    return dict(zip(_keys(features), values, strict=True))


def _keys(features: Features) -> list[str | int]:
    """Key of each dialogue, in the file's order."""
    dialogues = find_dialogues(features)
    if is_iemocap(features):
        return [dialogue.name for dialogue in dialogues]
    if is_meld(features):
        published = [MELD_FIRST_KEY[dialogue.split] + meld_number(dialogue.name) for dialogue in dialogues]
        if len(set(published)) == len(published):  # a corpus that is named as MELD is may be larger
            return [*published]
    return [*range(len(dialogues))]


def _speakers(features: Features) -> list[Any]:
    if is_iemocap(features):
        return [str(utterance)[-4] for utterance in features.id]
    number = number_speakers(features)
    one_hot = np.eye(max(SPEAKERS, int(number.max()) + 1), dtype=np.int64)
    return one_hot[number].tolist()
