"""What is exported: a feature file's utterances without those that a layout has no place for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from pipeline.corpora.annotations.labels import IEMOCAP, MELD
from pipeline.errors import UserError
from pipeline.features.file import UNLABELLED, Features, ModalityFeatures

_MELD_DIALOGUE = re.compile(r"(train|dev|test)_dia(\d+)")
_IEMOCAP_UTTERANCE = re.compile(r"Ses0[1-5][FM]_\w+_[FM]\w{3}")


@dataclass(frozen=True)
class Dialogue:
    """A dialogue's rows in the feature file."""

    name: str
    split: str
    rows: slice


def dialogues(features: Features) -> Iterator[Dialogue]:
    """The dialogues in the file's order."""
    start = 0
    for name, group in groupby(features.dialogue):
        stop = start + sum(1 for _ in group)
        yield Dialogue(str(name), str(features.split[start]), slice(start, stop))
        start = stop


def is_meld(features: Features) -> bool:
    """Whether ids and labels are those of MELD, or of another corpus in MELD's layout."""
    return features.label_names == MELD and all(map(_MELD_DIALOGUE.fullmatch, features.dialogue))


def is_iemocap(features: Features) -> bool:
    """Whether ids and labels are those of IEMOCAP."""
    return features.label_names == IEMOCAP and all(map(_IEMOCAP_UTTERANCE.fullmatch, features.id))


def meld_number(dialogue: str) -> int:
    """The number of a MELD dialogue in its split.

    >>> meld_number("dev_dia7")
    7
    """
    found = _MELD_DIALOGUE.fullmatch(dialogue)
    if not found:
        raise ValueError(f"{dialogue} is no dialogue of MELD")
    return int(found[2])


def only_labelled(features: Features) -> Features:
    """The features without the utterances that have no label; what is left is counted anew.

    UserError if nothing is left.
    """
    rows = np.flatnonzero(features.label != UNLABELLED)
    if not len(rows):
        raise UserError(
            f"{features.corpus}: no utterance has a label, and this layout holds labelled ones only;"
            f" --to parquet or --to datasets takes them"
        )
    dialogue = features.dialogue[rows]
    columns = {
        name: getattr(features, name)[rows]
        for name in ("id", "split", "speaker", "label", "text", "start_s", "end_s")
    }
    position = np.array([place for _, group in groupby(dialogue) for place, _ in enumerate(group)])
    return replace(
        features,
        **columns,
        dialogue=dialogue,
        position=position,
        modalities={name: _take(modality, rows) for name, modality in features.modalities.items()},
    )


def require_modalities(features: Features, layout: str) -> Mapping[str, np.ndarray]:
    """Vectors float32 [N, D] of text, audio and visual; UserError if one of them is not in the file."""
    absent = [name for name in ("text", "audio", "visual") if name not in features.modalities]
    if absent:
        raise UserError(
            f"the layout {layout} needs text, audio and visual features, and the file has no"
            f" {' and no '.join(absent)}; --to merbench, parquet and datasets do without"
        )
    return {name: modality.features for name, modality in features.modalities.items()}


def speaker_numbers(features: Features) -> np.ndarray:
    """int64 [N]: the speakers of each dialogue, numbered from 0 by first appearance in it."""
    numbers = np.zeros(len(features), np.int64)
    for dialogue in dialogues(features):
        seen: dict[str, int] = {}
        names = features.speaker[dialogue.rows].tolist()
        numbers[dialogue.rows] = [seen.setdefault(name, len(seen)) for name in names]
    return numbers


def _take(modality: ModalityFeatures, rows: np.ndarray) -> ModalityFeatures:
    return replace(
        modality,
        features=modality.features[rows],
        observed=modality.observed[rows],
        reason=modality.reason[rows],
        digest=None if modality.digest is None else modality.digest[rows],
    )
