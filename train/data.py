"""Dialogues of a feature file as batches of tensors, standardised by the training split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import UserError
from pipeline.features.file import Features
from train.packing import Layout

IGNORED_LABEL = -1
"""Label of unlabelled utterances: no loss and no metric counts them."""

CLIP_STD = 10.0
"""Standardised features are cut off here.  A functional that is all but constant in training can
lie thousands of standard deviations away in one clip of another split, and would drown the rest."""

_ROWS_AT_ONCE = 1024  # bounds the float64 copies


@dataclass(frozen=True)
class Standardisation:
    """Mean and scale of each feature over the observed training utterances; float64 [D] each."""

    mean: dict[str, np.ndarray]
    scale: dict[str, np.ndarray]
    """1 / standard deviation; 0 for a feature that is constant in training, which so becomes 0."""

    def apply(self, modality: str, features: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Features [N, D] in standard deviations from the mean, within CLIP_STD; 0 where not observed."""
        standardised = np.zeros(features.shape, np.float32)
        for start in range(0, len(features), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            z = (features[rows].astype(np.float64) - self.mean[modality]) * self.scale[modality]
            standardised[rows] = np.where(observed[rows, None], z.clip(-CLIP_STD, CLIP_STD), 0)
        return standardised


def fit_standardisation(features: Features, modalities: Sequence[str]) -> Standardisation:
    """Statistics of the observed utterances of the training split.

    Computed in two passes in float64, because openSMILE's functionals reach 1e13.  UserError if a
    modality was observed in no training utterance.
    """
    statistics = Standardisation({}, {})
    for name in modalities:
        modality = features.modalities[name]
        rows = modality.features[modality.observed & (features.split == "train")]
        if not len(rows):
            raise UserError(
                f"{features.corpus}: no training utterance has {name} features; quarantine.csv says why; "
                f"mend it, or leave {name} out of train.modalities"
            )
        mean = rows.mean(axis=0, dtype=np.float64)
        squares, largest = np.zeros_like(mean), np.zeros_like(mean)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            squares += np.square(some - mean).sum(axis=0)
            largest = np.maximum(largest, np.abs(some).max(axis=0))
        std = np.sqrt(squares / len(rows))
        # A spread below the resolution of float32 is rounding, not information.
        varies = std > np.finfo(np.float32).eps * largest
        statistics.mean[name] = mean
        statistics.scale[name] = np.divide(1.0, std, out=np.zeros_like(std), where=varies)
    return statistics


@dataclass(frozen=True)
class Batch:
    """The n utterances of B dialogues, in the order of ``layout``."""

    features: dict[str, Tensor]
    """float32 [n, D] per modality; 0 where not observed."""
    observed: dict[str, Tensor]
    """bool [n] per modality."""
    speaker: Tensor
    """int64 [n]: the dialogue's speakers, numbered from 0 by first appearance."""
    speakers: int
    """Most speakers of a dialogue of the corpus."""
    label: Tensor
    """int64 [n]: index into the label names, or IGNORED_LABEL."""
    row: Tensor
    """int64 [n]: row of the utterance in the feature file."""
    layout: Layout


@dataclass(frozen=True)
class Dialogues:
    """All utterances of a feature file, standardised, on one device, and where its dialogues lie."""

    features: dict[str, Tensor]
    """float32 [N, D] per modality."""
    observed: dict[str, Tensor]
    """bool [N] per modality."""
    speaker: Tensor
    """int64 [N]"""
    speakers: int
    """Most speakers of a dialogue."""
    label: Tensor
    """int64 [N]"""
    spans: dict[str, list[range]]
    """Rows of each dialogue, by split."""
    label_names: tuple[str, ...]

    @classmethod
    def from_features(cls, features: Features, standardisation: Standardisation) -> Dialogues:
        """The modalities that the standardisation knows; on the CPU."""
        spans = _dialogue_spans(features)
        speaker = _number_speakers(features.speaker, spans)
        used = {name: features.modalities[name] for name in standardisation.mean}
        return cls(
            features={
                name: torch.from_numpy(standardisation.apply(name, modality.features, modality.observed))
                for name, modality in used.items()
            },
            observed={name: torch.from_numpy(modality.observed) for name, modality in used.items()},
            speaker=torch.from_numpy(speaker),
            speakers=int(speaker.max(initial=-1)) + 1,
            label=torch.from_numpy(features.label.astype(np.int64)),
            spans={
                split: [span for span in spans if features.split[span.start] == split]
                for split in ("train", "dev", "test")
            },
            label_names=features.label_names,
        )

    def to(self, device: str) -> Dialogues:
        """The same on another device: batches are then gathered there."""
        return replace(
            self,
            features={name: tensor.to(device) for name, tensor in self.features.items()},
            observed={name: tensor.to(device) for name, tensor in self.observed.items()},
            speaker=self.speaker.to(device),
            label=self.label.to(device),
        )

    def labelled(self, split: str) -> list[range]:
        """The dialogues of a split that have at least one labelled utterance."""
        label = self.label.cpu()
        return [span for span in self.spans[split] if (label[span.start : span.stop] != IGNORED_LABEL).any()]

    def batch(self, dialogues: Sequence[range]) -> Batch:
        """The dialogues (at least one) as one batch."""
        longest_first = sorted(dialogues, key=len, reverse=True)
        row = torch.cat([torch.arange(span.start, span.stop) for span in longest_first])
        row = row.to(self.label.device, non_blocking=True)
        return Batch(
            features={name: table.index_select(0, row) for name, table in self.features.items()},
            observed={name: table[row] for name, table in self.observed.items()},
            speaker=self.speaker[row],
            speakers=self.speakers,
            label=self.label[row],
            row=row,
            layout=Layout([len(span) for span in longest_first], row.device),
        )

    def batches(self, dialogues: Sequence[range], batch_dialogues: int) -> Iterator[Batch]:
        """Batches of at most ``batch_dialogues`` dialogues, in the order given."""
        for start in range(0, len(dialogues), batch_dialogues):
            yield self.batch(dialogues[start : start + batch_dialogues])


def _dialogue_spans(features: Features) -> list[range]:
    """Rows of each dialogue, in the file's order; its utterances are contiguous."""
    changes = np.flatnonzero(features.dialogue[1:] != features.dialogue[:-1]) + 1
    edges = [0, *changes.tolist(), len(features)]
    return [range(start, stop) for start, stop in pairwise(edges) if stop > start]


def _number_speakers(names: np.ndarray, spans: Sequence[range]) -> np.ndarray:
    """int64 [N]: the speakers of each dialogue, numbered from 0 by first appearance."""
    numbers = np.zeros(len(names), np.int64)
    for span in spans:
        seen: dict[str, int] = {}
        for row in span:
            numbers[row] = seen.setdefault(str(names[row]), len(seen))
    return numbers
