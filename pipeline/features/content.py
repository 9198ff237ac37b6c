"""What a feature file holds, in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

SCHEMA = 2
SPLITS = ("train", "dev", "test")
UNLABELLED = -1
UTTERANCE_COLUMNS = ("id", "split", "dialogue", "position", "speaker", "label", "text", "start_s", "end_s")


@dataclass(frozen=True)
class ModalityFeatures:
    """One modality of all utterances."""

    features: np.ndarray
    """float32 [N, D]; zero where not observed."""
    observed: np.ndarray
    """bool [N]"""
    reason: np.ndarray
    """str [N]: why the modality was not observed, empty where it was."""
    feature_name: np.ndarray | None = None
    """str [D]: what the extractor calls its features; None where it names none."""
    digest: np.ndarray | None = None
    """str [N]: ``row_digests`` as the file holds them; None before the features were written."""

    def take(self, rows: np.ndarray) -> ModalityFeatures:
        """The modality of some utterances: int [M], rows of these, in the order wanted."""
        return replace(
            self,
            features=self.features[rows],
            observed=self.observed[rows],
            reason=self.reason[rows],
            digest=None if self.digest is None else self.digest[rows],
        )


@dataclass(frozen=True)
class Features:
    """Content of a feature file; N utterances in the manifest's order."""

    corpus: str
    label_names: tuple[str, ...]
    id: np.ndarray
    """str [N], unique, such as ``train_dia0_utt3``."""
    split: np.ndarray
    """str [N]: train, dev or test."""
    dialogue: np.ndarray
    """str [N], such as ``train_dia0``."""
    position: np.ndarray
    """int64 [N]: place in the dialogue, from 0, without gaps."""
    speaker: np.ndarray
    """str [N]"""
    label: np.ndarray
    """int64 [N]: index into ``label_names``, -1 where unlabelled."""
    text: np.ndarray
    """str [N]"""
    start_s: np.ndarray
    """float64 [N]: start of the utterance in its media file; NaN where it is the whole file."""
    end_s: np.ndarray
    """float64 [N]: end of the utterance in its media file; NaN where it is the whole file."""
    modalities: dict[str, ModalityFeatures]
    provenance: dict[str, Any]
    """How the features came about; ``encoders`` says it in plain words."""
    digest: str = ""
    """SHA-256 of the file's content."""

    def __len__(self) -> int:
        return len(self.id)


def row_digests(ids: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Digests of utterances' ids [N] and vectors float32 [N, D]: str [N], 16 hexadecimal digits each.

    SHA-256 of the id in UTF-8, a zero byte, and the vector's bytes (little-endian), cut to 64 bits.
    """
    rows = np.ascontiguousarray(vectors, dtype="<f4")
    digests = [
        hashlib.sha256(f"{utterance}\0".encode() + row.data).hexdigest()[:16]
        for utterance, row in zip(ids, rows, strict=True)
    ]
    return np.array(digests, dtype=object)


def value_range(features: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minimum and maximum float32 [D] of features [N, D] over the observed rows; NaN if there are none."""
    if not observed.any():
        nothing = np.full(features.shape[1], np.nan, np.float32)
        return nothing, nothing
    rows = features[observed]
    return rows.min(axis=0), rows.max(axis=0)


def count_positions(dialogue: np.ndarray) -> np.ndarray:
    """int64 [N]: place of each utterance in its dialogue, from 0, by the dialogues' names, str [N]."""
    places = [place for _, rows in groupby(dialogue) for place, _ in enumerate(rows)]
    return np.array(places, np.int64)
