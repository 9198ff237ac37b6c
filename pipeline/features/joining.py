"""One feature file's utterances with another's features of single modalities.

So a model may read features of several files, such as text from one and visual features from another, as if
they had been extracted together.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.features.content import Features
from pipeline.features.pseudonymisation import DRAWN, REMOVED, WORDS


def join_features(
    base: Features, other: Features, take: Sequence[str], base_path: Path, other_path: Path
) -> Features:
    """The features of ``base`` with those of ``other`` for the modalities ``take``, replaced or added.

    Rows are found by utterance id; ``other`` may hold more.  Utterances, their order and labels are those of
    ``base``, and the provenance says of each modality taken what ``other`` says of it, and ``taken_from``.
    UserError, naming the files, if ``other`` lacks a modality or an utterance, or has other words (of a file
    without words: another speaker or place) or another split for one, or other codes for names.
    """
    absent = [name for name in take if name not in other.modalities]
    if absent:
        raise UserError(
            f"{other_path}: holds no {', '.join(absent)} features (it holds: {', '.join(other.modalities)});"
            " name a file that does"
        )
    rows = _find_rows(base, other, base_path, other_path)
    sources = {name: _source(other, name) for name in take}
    encoders = {name: source["encoder"] for name, source in sources.items()}
    provenance = base.provenance
    return replace(
        base,
        modalities=base.modalities | {name: other.modalities[name].take(rows) for name in take},
        provenance=provenance
        | {
            # The encoder's words stay as they are: by them a model knows features of its own kind.
            "encoders": provenance.get("encoders", {}) | encoders,
            "sources": provenance.get("sources", {}) | sources,
        },
        digest="",
    )


def _find_rows(base: Features, other: Features, base_path: Path, other_path: Path) -> np.ndarray:
    """int64 [N]: the row in ``other`` of each utterance of ``base``."""
    if base.provenance.get(DRAWN) != other.provenance.get(DRAWN):
        raise UserError(
            f"{other_path}: its utterances have other codes in place of names than those of {base_path}: join"
            " features first, and pseudonymise what comes of it"
        )
    row_of = {str(utterance): row for row, utterance in enumerate(other.id)}
    absent = [str(utterance) for utterance in base.id if utterance not in row_of]
    if absent:
        more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
        close = difflib.get_close_matches(absent[0], row_of, n=1)
        hint = f" (it has {close[0]})" if close else ""
        raise UserError(
            f"{other_path}: holds {len(base) - len(absent)} of the {len(base)} utterances of {base_path};"
            f" it lacks {', '.join(absent[:3])}{more}{hint}"
        )
    rows = np.array([row_of[utterance] for utterance in base.id], dtype=np.int64)
    # Ids such as train_dia0_utt0 occur in many corpora.
    wordless = any(WORDS in each.provenance.get(REMOVED, ()) for each in (base, other))
    wordless |= not any(map(len, (*base.text, *other.text)))
    for column in ("speaker", "position") if wordless else ("text",):
        here, there = getattr(base, column), getattr(other, column)[rows]
        for utterance, own, others in zip(base.id, here, there, strict=True):
            if own != others:
                what = "" if column == "text" else f"{column} "
                raise UserError(
                    f"{other_path}: of another corpus ({other.corpus}): its utterance {utterance} is"
                    f" {what}{others.item() if column == 'position' else str(others)!r}, in {base_path} it is"
                    f" {what}{own.item() if column == 'position' else str(own)!r}"
                )
    # An encoder that was fine-tuned on what is tested here would give the answers away.
    moved = np.flatnonzero(base.split != other.split[rows])
    if len(moved):
        first = moved[0]
        raise UserError(
            f"{other_path}: has {len(moved)} utterances in other splits than {base_path}, such as"
            f" {base.id[first]}: {other.split[rows][first]} there, {base.split[first]} here"
        )
    return rows


def _source(features: Features, modality: str) -> dict[str, Any]:
    """What the provenance says of a modality that is taken from these features."""
    source: dict[str, Any] = {"versions": {}}  # a file made elsewhere may not tell them
    source |= features.provenance.get("sources", {}).get(modality, {})
    source["encoder"] = features.provenance.get("encoders", {}).get(modality, "an unknown encoder")
    source["taken_from"] = {"corpus": features.corpus, "content_sha256": features.digest}
    return source
