"""Whose name goes with which face in a dialogue: speakers' names and faces' embeddings vote for each other.

Tracks whose embeddings are alike are one identity.  A name and an identity get votes for lips of that
identity that moved with the sound while the name spoke, and for being there when the name speaks rather than
when others do; then each name gets at most one identity and each identity one name, so that the votes' sum is
greatest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import AgglomerativeClustering

from pipeline.speakers.speaking import LEAST_SCORE

SAME_PERSON = 0.5
"""Mean cosine distance up to which tracks are one person's: with InceptionResnetV1's embeddings of VGGFace2
different people are about 1 apart."""
LEAST_VOTE = 0.5
LEAST_UTTERANCES = 2
"""In which an identity must be seen while a name speaks: one says nothing of whenever."""


@dataclass(frozen=True)
class TrackMean:
    """One track of an utterance, or several of one person."""

    utterance: int
    """Place in the dialogue."""
    track: int
    frames: frozenset[int]
    embedding: np.ndarray
    """float32 [D]: mean over its faces."""
    speaking: float


def track_means(
    utterance: int, track: np.ndarray, frame_index: np.ndarray, speaking: np.ndarray, embeddings: np.ndarray
) -> list[TrackMean]:
    """The tracks of an utterance whose faces [F] have these embeddings [F, D]."""
    return [
        TrackMean(
            utterance=utterance,
            track=number,
            frames=frozenset(frame_index[track == number].tolist()),
            embedding=embeddings[track == number].mean(axis=0),
            speaking=float(speaking[track == number].max()),
        )
        for number in np.unique(track).tolist()
    ]


def recognise(names: Sequence[str], tracks: Sequence[TrackMean]) -> dict[int, TrackMean]:
    """Utterance -> whom its speaker's name goes with, for utterances in which that person is seen.

    ``names`` [N] are those of the utterances' speakers, empty where nobody knows.
    """
    tracks = sorted(tracks, key=lambda each: (each.utterance, each.track))
    utterance = np.array([each.utterance for each in tracks], np.int64)
    together = np.array(
        [
            [o is not t and o.utterance == t.utterance and bool(o.frames & t.frames) for o in tracks]
            for t in tracks
        ]
    ).reshape(len(tracks), len(tracks))
    identity = identify(np.stack([t.embedding for t in tracks]), together) if tracks else utterance
    speaking = np.array([each.speaking for each in tracks])
    named = name_identities(names, utterance, identity, speaking)
    found = {}
    for place, name in enumerate(names):
        its = [
            each
            for each, person in zip(tracks, identity.tolist(), strict=True)
            if each.utterance == place and person == named.get(name)
        ]
        if its:
            found[place] = _merge(its)
    return found


def _merge(tracks: Sequence[TrackMean]) -> TrackMean:
    """Tracks of one person in one utterance: every face counts alike."""
    longest = max(tracks, key=lambda each: len(each.frames))
    counts = [len(each.frames) for each in tracks]
    return replace(
        longest,
        frames=frozenset().union(*(each.frames for each in tracks)),
        embedding=np.average([each.embedding for each in tracks], axis=0, weights=counts),
    )


def identify(embeddings: np.ndarray, together: np.ndarray) -> np.ndarray:
    """The identity of each track, int64 [T], from 0 in order of their first tracks.

    ``embeddings`` [T, D] are the tracks' means; ``together`` bool [T, T] says which are seen at once, and so
    are of different people.
    """
    if len(embeddings) < 2:
        return np.zeros(len(embeddings), np.int64)
    unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    # So far apart that no mean over the pairs of two identities, some of them alike, makes up for one.
    distance = np.where(together, 2.0 * len(unit) ** 2, 1 - unit @ unit.T)
    np.fill_diagonal(distance, 0)
    found = AgglomerativeClustering(
        n_clusters=None, distance_threshold=SAME_PERSON, metric="precomputed", linkage="average"
    ).fit_predict(distance)
    order: dict[int, int] = {}
    return np.array([order.setdefault(int(label), len(order)) for label in found])


def name_identities(
    names: Sequence[str], utterance: np.ndarray, identity: np.ndarray, speaking: np.ndarray
) -> dict[str, int]:
    """Name -> the identity that speaks by it, for names that have one.

    ``names`` [N] of the utterances' speakers, empty if unknown; of each track its utterance, identity and
    score [T].
    """
    known = sorted({name for name in names if name})
    count = int(identity.max()) + 1 if len(identity) else 0
    there = np.zeros((len(names), count), bool)
    there[utterance, identity] = True
    lips = np.zeros((len(names), count))
    np.maximum.at(lips, (utterance, identity), np.where(speaking >= LEAST_SCORE, speaking, 0))
    seen = there.any(axis=1)
    votes = np.zeros((len(known), count))
    for row, name in enumerate(known):
        speaks = np.array([each == name for each in names])
        its, others = there[speaks & seen], there[~speaks & seen]
        by_lips = lips[speaks].sum(axis=0)
        votes[row] = by_lips / max(by_lips.sum(), 1e-12) + its.sum(axis=0) / max(len(its), 1)
        votes[row] -= others.sum(axis=0) / max(len(others), 1)
        votes[row, its.sum(axis=0) < LEAST_UTTERANCES] = 0
    pairs = zip(*linear_sum_assignment(votes, maximize=True), strict=True)
    return {known[row]: int(column) for row, column in pairs if votes[row, column] >= LEAST_VOTE}
