"""Which of an utterance's faces are the speaker's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.speakers.one_per_frame import first_by_frame, largest_faces
from pipeline.speakers.speaking import LEAST_SCORE

LIPS, NAME, LARGEST = "lips", "name", "largest"
"""Evidence: lips that move with the sound; who is there whenever a name speaks; none."""


class Choice(NamedTuple):
    """How much each face counts."""

    weight: np.ndarray
    """float32 [F]: 0 for all but one of a frame."""
    evidence: str


def choose_speaker(frame_index: np.ndarray, box_px: np.ndarray, speaking: np.ndarray) -> Choice:
    """The likeliest speaker of each frame, weighted by its score; the largest faces where nobody is likely.

    Frames in which nobody is likely do not count where there are others.
    """
    likely = speaking >= LEAST_SCORE
    if not likely.any():
        return Choice(only(largest_faces(frame_index, box_px), len(box_px)), LARGEST)
    best = first_by_frame(frame_index, -speaking)
    return Choice(np.where(likely, speaking, 0).astype(np.float32) * only(best, len(box_px)), LIPS)


def only(places: np.ndarray, count: int) -> np.ndarray:
    """float32 [count]: 1 at these places."""
    weight = np.zeros(count, np.float32)
    weight[places] = 1
    return weight


def mostly(track: np.ndarray, weight: np.ndarray) -> int:
    """The track that counts most; -1 where there is none."""
    return int(np.bincount(track, weight).argmax()) if len(track) else -1
