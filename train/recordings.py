"""Predictions by film, with times and words, for writers that annotation tools read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.errors import UserError
from pipeline.features.content import Features
from pipeline.manifest import Medium, read_media
from pipeline.transcripts.predicted import Predicted, Recording
from train.loop import Predictions


def read_films(features_file: Path) -> dict[str, Medium]:
    """Where each utterance is, by its id, by the media.csv beside a feature file; empty if there is none."""
    path = features_file.parent / "media.csv"
    return {row.id: row for row in read_media(path)} if path.is_file() else {}


def as_recordings(
    features: Features,
    predictions: Predictions,
    classes: Sequence[str],
    model: str,
    films: Mapping[str, Medium],
    sources: Mapping[str, tuple[str, str]] | None = None,
) -> tuple[list[Recording], list[str]]:
    """One for each film, or for each dialogue where films are not known; in the features' order.

    ``sources`` are tiers and ids that utterances were imported from, by utterance id.  Second come the ids of
    utterances without times, such as those of broken clips, which are in none; UserError if all are such.
    """
    groups: dict[str, list[Predicted]] = {}
    untimed: list[str] = []
    for row, best, probability in zip(
        predictions.row, predictions.label, predictions.probability, strict=True
    ):
        id = str(features.id[row])
        film = films.get(id)
        span = _span(features, int(row), film)
        if span is None:
            untimed.append(id)
            continue
        said = Predicted(
            start_ms=span[0],
            end_ms=span[1],
            speaker=str(features.speaker[row]),
            text=str(features.text[row]),
            prediction=classes[best],
            probability=float(probability[best]),
            source=(sources or {}).get(id, ("", "")),
        )
        groups.setdefault(film.path if film and film.path else str(features.dialogue[row]), []).append(said)
    if not groups:
        raise UserError(
            f"utterance {untimed[0]} and all others have no times, and no media.csv beside the feature file"
            " tells how long their clips are: -o NAME.csv does without"
        )
    known = {film.path for film in films.values()}
    stems = [PurePosixPath(name).stem if name in known else name for name in groups]
    if len(set(stems)) < len(stems):
        stems = list(groups)
    recordings = [
        Recording(stem, PurePosixPath(name).name if name in known else "", utterances, classes, model)
        for stem, (name, utterances) in zip(stems, groups.items(), strict=True)
    ]
    return recordings, untimed


def _span(features: Features, row: int, film: Medium | None) -> tuple[int, int] | None:
    """Start and end in ms; None where nothing tells."""
    start_s, end_s = float(features.start_s[row]), float(features.end_s[row])
    if np.isnan(start_s) and film is not None and film.duration_s:
        start_s, end_s = 0.0, film.duration_s  # the whole clip
    if np.isnan(start_s):
        return None
    start_ms = round(1000 * start_s)
    return start_ms, max(round(1000 * end_s), start_ms + 1)
