"""Two feature files of the same utterances -> one that has modalities of both.

So the paper's ablation "w/o VisExtNet" [5.3] is a model on another feature file, and features that were
made elsewhere join those made here.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.features.file import read_features, write_features
from pipeline.features.joining import join_features
from pipeline.params import read_params


def main(name: str) -> None:
    """Write ``data/joined/<name>.h5``; UserError if a file lacks what is to be taken from it."""
    params = read_params().join(name)
    base_path, other_path = Path(params.features), Path(params.other)
    # Whole, because only then is the content held against its digest.
    joined = join_features(
        read_features(base_path), read_features(other_path), params.take, base_path, other_path
    )
    path = Path("data", "joined", f"{name}.h5")
    write_features(path, joined)
    made = ", ".join(f"{each} by {joined.provenance['encoders'][each]}" for each in params.take)
    print(f"join: {path}: {base_path} with {made}, from {other_path}")
