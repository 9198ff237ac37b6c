"""Which weights the encoders of a corpus have: weights.json, with commits of hub models and digests.

What is named by a branch is asked for its commit once, which is remembered beside the item store, so
that all clones keep to it until params.yaml names another (``multiemo pin``).  Untrained encoders, and
kinds without weights, have no entry.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.encoders.kinds import encoder_key, names_weights, read_encoder
from pipeline.encoders.weights import Weights, pin_weights, write_pinned
from pipeline.params import read_params


def main(corpus: str) -> None:
    """Write ``data/<corpus>/weights.json``; UserError if weights cannot be had or are not those meant."""
    params = read_params().corpus(corpus)
    pinned: dict[str, Weights] = {}
    for modality in params.modalities:
        encoder = read_encoder(corpus, params, modality).params
        if names_weights(encoder):
            pinned[modality] = pin_weights(encoder_key(corpus, modality), encoder)
            commit = pinned[modality].commit
            at = f" at commit {commit}" if commit else ""
            licence = f", licence {found}" if (found := pinned[modality].licence) else ""
            print(f"weights: {modality}: {encoder.weights}{at}{licence}", flush=True)
    write_pinned(Path("data", corpus, "weights.json"), pinned)
    if not pinned:
        print("weights: no encoder has any")
