"""What the report says of a corpus and its features, counted; shares are percentages."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.features.content import SPLITS, ModalityFeatures
from pipeline.features.inspection import Inspection
from pipeline.manifest import Medium, Utterance
from pipeline.report.summary import NO_LABEL, duration_s
from pipeline.store.h5 import Arrays

BySplit = dict[str, np.ndarray]


@dataclass(frozen=True)
class SplitSize:
    """How much one split holds."""

    split: str
    utterances: int
    dialogues: int
    speakers: int
    hours: float
    """Of the clips that can be read."""


@dataclass(frozen=True)
class Share:
    """A part of a whole."""

    count: int
    of: int

    @property
    def percent(self) -> float:
        """0 of an empty whole."""
        return 100 * self.count / self.of if self.of else 0.0


@dataclass(frozen=True)
class Faces:
    """What the detector found in the sampled frames."""

    frames: int
    faces: int
    with_face: Share
    """Sampled frames that show at least one face."""
    per_frame: np.ndarray
    """int64 [frames]: faces in each sampled frame."""
    height_px: np.ndarray
    """float32 [faces]"""


def split_sizes(utterances: Sequence[Utterance], media: Sequence[Medium]) -> list[SplitSize]:
    """The splits that hold anything, in the order train, dev, test."""
    sizes = []
    for split in SPLITS:
        pairs = [pair for pair in zip(utterances, media, strict=True) if pair[0].split == split]
        if pairs:
            sizes.append(
                SplitSize(
                    split=split,
                    utterances=len(pairs),
                    dialogues=len({row.dialogue for row, _ in pairs}),
                    speakers=len({row.speaker for row, _ in pairs if row.speaker}),
                    hours=sum(duration_s(clip) for _, clip in pairs if clip.duration_s) / 3600,
                )
            )
    return sizes


def class_shares(utterances: Sequence[Utterance], names: Sequence[str]) -> dict[str, dict[str, Share]]:
    """Class -> split -> its utterances; the unlabelled last, where there are any."""
    counts = Counter((row.label or NO_LABEL, row.split) for row in utterances)
    totals = Counter(row.split for row in utterances)
    unlabelled = [NO_LABEL] if any(name == NO_LABEL for name, _ in counts) else []
    return {
        name: {split: Share(counts[name, split], totals[split]) for split in SPLITS if totals[split]}
        for name in [*names, *unlabelled]
    }


def durations_s(utterances: Sequence[Utterance], media: Sequence[Medium]) -> BySplit:
    """Split -> length of every clip that can be read."""
    return _by_split(
        (row.split, duration_s(clip)) for row, clip in zip(utterances, media, strict=True) if clip.duration_s
    )


def dialogue_lengths(utterances: Sequence[Utterance]) -> BySplit:
    """Split -> utterances of every dialogue."""
    return _by_split(
        (split, count)
        for (split, _), count in Counter((row.split, row.dialogue) for row in utterances).items()
    )


def coverage(inspection: Inspection, modalities: Sequence[str]) -> dict[str, dict[str, Share]]:
    """Modality -> split, of those that hold anything -> the utterances in which it was observed."""
    sizes = {name: inspection.splits[name].utterances for name in SPLITS}
    return {
        modality: {
            name: Share(inspection.modalities[modality].observed[name], size)
            for name, size in sizes.items()
            if size
        }
        for modality in modalities
    }


def describe_faces(file: Arrays) -> Faces | None:
    """None for a corpus whose picture was not looked at."""
    if not file.get("frames_sampled", np.empty(0)).any():
        return None
    frames = int(file["frames_sampled"].sum())
    places = np.stack([file["face_utterance"], file["frame_index"]], axis=1)
    _, counts = np.unique(places, axis=0, return_counts=True)
    per_frame = np.concatenate([counts, np.zeros(frames - len(counts), counts.dtype)])
    boxes = file["box_px"]
    return Faces(
        frames=frames,
        faces=len(boxes),
        with_face=Share(len(counts), frames),
        per_frame=per_frame,
        height_px=boxes[:, 3] - boxes[:, 1],
    )


def count_repeated(modality: ModalityFeatures) -> int:
    """Observed utterances whose vector another one has too, as copies of one clip do."""
    rows = np.flatnonzero(modality.observed)
    copies = Counter(hashlib.sha256(modality.features[row].data).digest() for row in rows)
    return sum(count for count in copies.values() if count > 1)


def _by_split(values: Iterable[tuple[str, float]]) -> BySplit:
    found = list(values)
    groups = {split: np.array([value for name, value in found if name == split]) for split in SPLITS}
    return {split: group for split, group in groups.items() if len(group)}
