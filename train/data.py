"""Dialogues of a feature file as batches of tensors, standardised by the training split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pipeline.features.content import UNLABELLED, Features
from pipeline.features.dialogues import arrange_dialogues, number_speakers
from pipeline.features.standardisation import Standardisation
from train.packing import Packing


def count_classes(features: Features) -> tuple[int, ...]:
    """Labelled utterances of the training split by class."""
    label = features.label[(features.split == "train") & (features.label != UNLABELLED)]
    return tuple(np.bincount(label, minlength=len(features.label_names)).tolist())


@dataclass(frozen=True)
class Batch:
    """The n utterances of B dialogues, in the order of ``packing``."""

    features: dict[str, Tensor]
    """float32 [n, D] per modality; 0 where not observed."""
    observed: dict[str, Tensor]
    """bool [n] per modality."""
    speaker: Tensor
    """int64 [n]: the dialogue's speakers, numbered from 0 by first appearance."""
    speakers: int
    """Most speakers of a dialogue of the corpus."""
    label: Tensor
    """int64 [n]: index into the label names, or UNLABELLED."""
    row: Tensor
    """int64 [n]: row of the utterance in the feature file."""
    packing: Packing


def drop_modalities(batch: Batch, share: float) -> Batch:
    """The batch as if ``share`` of what was observed, by utterance and modality, had not been."""
    observed, features = {}, {}
    for name, seen in batch.observed.items():
        observed[name] = seen & (torch.rand(seen.shape, device=seen.device) >= share)
        features[name] = batch.features[name] * observed[name].unsqueeze(1)
    return replace(batch, observed=observed, features=features)


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
    """Rows of each dialogue, by split, in the order of ``arrange_dialogues``."""
    label_names: tuple[str, ...]
    class_counts: tuple[int, ...]
    """Labelled utterances of the training split by class."""

    @classmethod
    def from_features(cls, features: Features, standardisation: Standardisation) -> Dialogues:
        """The modalities that the standardisation knows; on the CPU."""
        dialogues, speaker = arrange_dialogues(features), number_speakers(features)
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
                split: [dialogue.rows for dialogue in dialogues if dialogue.split == split]
                for split in ("train", "dev", "test")
            },
            label_names=features.label_names,
            class_counts=count_classes(features),
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
        return [span for span in self.spans[split] if (label[span.start : span.stop] != UNLABELLED).any()]

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
            packing=Packing([len(span) for span in longest_first], row.device),
        )

    def batches(self, dialogues: Sequence[range], batch_dialogues: int) -> Iterator[Batch]:
        """Batches of at most ``batch_dialogues`` dialogues, in the order given."""
        for start in range(0, len(dialogues), batch_dialogues):
            yield self.batch(dialogues[start : start + batch_dialogues])
