"""What is exported: which corpus it is, and what an export must have or has no place for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipeline.corpora.annotations.labels import IEMOCAP, MELD
from pipeline.errors import UserError
from pipeline.features.content import UNLABELLED, UTTERANCE_COLUMNS, Features, count_positions
from pipeline.params import MODALITIES

_MELD_DIALOGUE = re.compile(r"(train|dev|test)_dia(\d+)")
_IEMOCAP_UTTERANCE = re.compile(r"Ses0[1-5][FM]_\w+_[FM]\w{3}")


def is_meld(features: Features) -> bool:
    """Whether ids and labels are those of MELD, or of another corpus that is named as MELD is."""
    return features.label_names == MELD and all(map(_MELD_DIALOGUE.fullmatch, features.dialogue))


def is_iemocap(features: Features) -> bool:
    """Whether ids and labels are those of IEMOCAP."""
    return features.label_names == IEMOCAP and all(map(_IEMOCAP_UTTERANCE.fullmatch, features.id))


def meld_number(dialogue: str) -> int:
    """The number of a MELD dialogue in its split.

    >>> meld_number("dev_dia7")
    7
    """
    match = _MELD_DIALOGUE.fullmatch(dialogue)
    if not match:
        raise ValueError(f"{dialogue} is no dialogue of MELD")
    return int(match[2])


def only_labelled(features: Features) -> Features:
    """The features without the utterances that have no label; what is left is counted anew.

    UserError if nothing is left.
    """
    rows = np.flatnonzero(features.label != UNLABELLED)
    if not len(rows):
        raise UserError(
            f"{features.corpus}: no utterance has a label, and this export holds labelled ones only;"
            f" --to parquet or --to datasets takes them"
        )
    columns = {name: getattr(features, name)[rows] for name in UTTERANCE_COLUMNS}
    columns["position"] = count_positions(columns["dialogue"])
    modalities = {name: modality.take(rows) for name, modality in features.modalities.items()}
    return replace(features, **columns, modalities=modalities)


def require_modalities(
    features: Features, export: str, needed: Sequence[str] = MODALITIES
) -> Mapping[str, np.ndarray]:
    """Vectors float32 [N, D] by modality; UserError if one that the export needs is not in the file."""
    absent = [name for name in needed if name not in features.modalities]
    if absent:
        raise UserError(
            f"the export {export} needs {_and(needed)} features, and the file has no"
            f" {' and no '.join(absent)}; --to merbench, parquet and datasets do without"
        )
    return {name: modality.features for name, modality in features.modalities.items()}


def width_notes(features: Features, expected: Mapping[str, int], code: str) -> Iterator[str]:
    """Modalities whose width is not the one that somebody's code is written for, and the way out."""
    for name, wanted in expected.items():
        width = features.modalities[name].features.shape[1]
        if width != wanted:
            way_out = f"--reduce {name}={wanted}, or " if width > wanted else ""
            yield f"{name} has {width} dimensions, and {code} says {wanted}: {way_out}change it there"


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]])
