"""The pickles of conversation models: DialogueRNN and MMGCN with their kin, and the authors' MultiEMO.

All of them are dicts from a dialogue's key to a list with one entry for each of its utterances, put
together in a tuple:

    0 utterance ids   1 speakers   2 labels   3 text   4 audio   5 visual   6 sentences
    7 keys of the training dialogues   8 keys of the test dialogues   (9 nothing; not for IEMOCAP)

Validation dialogues are among those for training, last: the peers take theirs from there.  For
IEMOCAP a key is the dialogue's name and a speaker is M or F.  For other corpora a key is a number
and a speaker a one-hot vector; MELD's keys are the published ones.  Labels are numbered as in the
feature file, which is as in the published files.  A vector is float32 [D], zero where the modality
was not observed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.exports.content import (
    dialogues,
    is_iemocap,
    is_meld,
    meld_number,
    require_modalities,
    speaker_numbers,
)
from pipeline.exports.pickles import write_pickle
from pipeline.features.file import Features

SPEAKERS = 9
"""Most speakers of a dialogue of MELD, and so the width of a published one-hot vector."""

MELD_FIRST_KEY = {"train": 0, "dev": 1039, "test": 1153}
"""Key of dialogue 0 of each split in the published MELD files."""

MULTIEMO_WIDTHS = {"text": 768, "audio": 512, "visual": 1000}
"""What the authors' code is written for."""


def write_dialoguernn(folder: Path, features: Features) -> list[str]:
    """``IEMOCAP_features.pkl``, as DialogueRNN's and MMGCN's data loaders read it."""
    if not is_iemocap(features):
        raise UserError(
            f"the layout dialoguernn is IEMOCAP's, whose speakers are M and F;"
            f" --to mmgcn takes {features.corpus}"
        )
    return write_mmgcn(folder, features)


def write_mmgcn(folder: Path, features: Features) -> list[str]:
    """``IEMOCAP_features.pkl`` or, for every other corpus, ``MELD_features_raw1.pkl``."""
    vectors = require_modalities(features, "mmgcn")
    path = folder / ("IEMOCAP_features.pkl" if is_iemocap(features) else "MELD_features_raw1.pkl")
    write_pickle(path, _conversations(features, vectors))
    return [path.name]


def write_multiemo(folder: Path, features: Features) -> list[str]:
    """``Data/<CORPUS>/`` with Speakers.pkl and one dict of vectors for each modality."""
    vectors = require_modalities(features, "multiemo")
    corpus = "IEMOCAP" if is_iemocap(features) else "MELD" if is_meld(features) else features.corpus
    keys = _keys(features)
    # The authors' loader takes the vectors from files of their own, and not from the tuple.
    nothing = {name: np.empty((len(features), 0), np.float32) for name in vectors}
    content: dict[str, Any] = {"Speakers.pkl": _conversations(features, nothing)}
    for name, rows in vectors.items():
        content[f"{name.capitalize()}Features.pkl"] = _by_dialogue(features, keys, list(rows))
    written = [Path("Data", corpus, name) for name in content]
    for path, value in zip(written, content.values(), strict=True):
        write_pickle(folder / path, value)
    return [str(path) for path in written]


def other_widths(features: Features) -> dict[str, int]:
    """Modalities whose width is not the one that the authors' code is written for, and that one."""
    return {
        name: width
        for name, width in MULTIEMO_WIDTHS.items()
        if name in features.modalities and features.modalities[name].features.shape[1] != width
    }


def _conversations(features: Features, vectors: Mapping[str, np.ndarray]) -> tuple[Any, ...]:
    keys = _keys(features)
    columns: list[Sequence[Any]] = [
        features.id.tolist(),
        _speakers(features),
        features.label.tolist(),
        *(list(vectors[name]) for name in ("text", "audio", "visual")),
        features.text.tolist(),
    ]
    split = {key: dialogue.split for key, dialogue in zip(keys, dialogues(features), strict=True)}
    training = [key for key, part in split.items() if part == "train"]
    training += [key for key, part in split.items() if part == "dev"]
    test = [key for key, part in split.items() if part == "test"]
    unused: tuple[Any, ...] = () if is_iemocap(features) else ({},)
    return (*(_by_dialogue(features, keys, column) for column in columns), training, test, *unused)


def _keys(features: Features) -> list[str | int]:
    """Key of each dialogue, in the file's order."""
    names = [(dialogue.name, dialogue.split) for dialogue in dialogues(features)]
    if is_iemocap(features):
        return [name for name, _ in names]
    if is_meld(features):
        published = [MELD_FIRST_KEY[split] + meld_number(name) for name, split in names]
        if len(set(published)) == len(published):  # a corpus in MELD's layout may be larger than MELD
            return [*published]
    return [*range(len(names))]


def _speakers(features: Features) -> list[Any]:
    if is_iemocap(features):
        return [str(utterance)[-4] for utterance in features.id]
    number = speaker_numbers(features)
    one_hot = np.eye(max(SPEAKERS, int(number.max()) + 1), dtype=np.int64)
    return one_hot[number].tolist()


def _by_dialogue(
    features: Features, keys: Sequence[str | int], column: Sequence[Any]
) -> dict[str | int, list[Any]]:
    return {key: list(column[dialogue.rows]) for key, dialogue in zip(keys, dialogues(features), strict=True)}
