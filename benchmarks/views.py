"""A feature file of MELD's utterances from an .npz, as benchmarks and docs/experiments.md train on it.

    python -m benchmarks.views MELD VIEWS features.h5

MELD holds MELD's *_sent_emo.csv, VIEWS has ``id`` [N] and features [N, D] of each modality.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.training import as_features, utterances_of_meld
from pipeline.features.content import Features
from pipeline.features.file import write_features
from pipeline.params import MODALITIES
from pipeline.store.keys import file_digest, listing_digest


def features_of_views(meld: Path, views: Path) -> Features:
    """MELD's utterances with the features of an .npz, in the places of the modalities that it names."""
    utterances, sources = utterances_of_meld(meld), [views, *meld.glob("*_sent_emo.csv")]
    with np.load(views) as arrays:
        place = {id: number for number, id in enumerate(arrays["id"])}
        rows = [place[utterance.id] for utterance in utterances]
        tables: dict[str, np.ndarray] = {
            name: arrays[name][rows].astype(np.float32) for name in MODALITIES if name in arrays
        }
    return replace(
        as_features(utterances, tables),
        digest=listing_digest({path.name: file_digest(path) for path in sources}),
        provenance={"encoders": {name: f"{name} of {views.name}" for name in tables}},
    )


if __name__ == "__main__":
    meld, views, features = map(Path, sys.argv[1:])
    write_features(features, features_of_views(meld, views))
