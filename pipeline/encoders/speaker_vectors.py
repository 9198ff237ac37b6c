"""The speaker's face to one vector per utterance: of all faces those that count, embedded, and their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import runtime
from pipeline.encoders.encoder import require_finite
from pipeline.encoders.face_vectors import ClipFaces, iterate_embeddings
from pipeline.encoders.visual import VisualEncoder
from pipeline.media.decoding import MediaError
from pipeline.params import VisualParams
from pipeline.speakers.choice import LARGEST, LIPS, NAME, choose_speaker, mostly
from pipeline.speakers.who_is_who import TrackMean, recognise, track_means
from pipeline.store.h5 import Arrays

NO_CHOICE: Arrays = {"speaker_evidence": np.empty(0, str), "speaker_track": np.empty(0, np.int64)}


@dataclass(frozen=True)
class TrackedFaces:
    """A clip's faces, who is the same, and who likely speaks."""

    faces: ClipFaces
    track: np.ndarray
    """int64 [F]"""
    speaking: np.ndarray
    """float32 [F]: score of the face's track, see speakers.speaking."""
    name: str = ""
    """Who speaks, where that is to be used."""


def embed_speakers(
    clips: Sequence[TrackedFaces], root: Path, encoder: VisualEncoder, params: VisualParams
) -> Arrays:
    """Features and reasons of all clips of a dialogue, and whose faces they are.

    ``speaker_evidence`` [N] says why that is the speaker (lips, name, or largest where nothing tells), empty
    where there is no vector; ``speaker_track`` [N] which track counts most.
    """
    features = np.zeros((len(clips), encoder.dimension), np.float32)
    reasons, evidence = [""] * len(clips), [""] * len(clips)
    choices = [choose_speaker(clip.faces.frame_index, clip.faces.box_px, clip.speaking) for clip in clips]
    tracks = [mostly(clip.track, choice.weight) for clip, choice in zip(clips, choices, strict=True)]
    # Whoever is compared with others needs all faces.
    kept = [
        np.arange(len(choice.weight)) if params.who_is_who else np.flatnonzero(choice.weight)
        for choice in choices
    ]
    embedded = [clip.faces.only(faces) for clip, faces in zip(clips, kept, strict=True)]
    seen: list[TrackMean] = []
    for place, embeddings in iterate_embeddings(embedded, root, encoder, params):
        if isinstance(embeddings, MediaError):
            reasons[place] = str(embeddings)
            continue
        features[place] = np.average(embeddings, axis=0, weights=choices[place].weight[kept[place]])
        evidence[place] = choices[place].evidence
        require_finite(features[place], clips[place].faces.utterance, "visual encoder")
        if params.who_is_who:
            clip = clips[place]
            seen += track_means(place, clip.track, clip.faces.frame_index, clip.speaking, embeddings)
    for place, person in recognise([clip.name for clip in clips], seen).items():
        if evidence[place] == LARGEST:
            features[place], tracks[place], evidence[place] = person.embedding, person.track, NAME
    return {
        "features": features,
        "reason": np.array(reasons),
        "device": np.array([runtime.device_name()]),
        "speaker_evidence": np.array(evidence),
        "speaker_track": np.array(tracks),
    }


def count_evidence(arrays: Mapping[str, Any]) -> dict[str, int]:
    """How many utterances have which evidence, in words for the stage's output."""
    found = np.asarray(arrays["speaker_evidence"])
    named = int((found == NAME).sum())
    return {
        "utterances with the face whose lips move with the sound": int((found == LIPS).sum()),
        **({"with the face that is there whenever the name speaks": named} if named else {}),
        "with the largest faces, because nothing tells who speaks": int((found == LARGEST).sum()),
    }
