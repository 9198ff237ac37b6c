"""The params of a corpus whose features a model of another corpus can read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.encoders.kinds import encoder_key, names_weights, read_encoder
from pipeline.encoders.weights import find_local, is_local
from pipeline.errors import UserError
from pipeline.params import MODALITIES, CorpusParams, Modality


def entry_like(name: str, corpus: CorpusParams, modalities: Sequence[Modality], root: Path) -> dict[str, Any]:
    """An entry of params.yaml, as JSON values, for a table in ``root``; it extracts as ``corpora.<name>``.

    Paths in it are absolute, and files have their digests.  The text encoder is that corpus's own, as it was
    fine-tuned.  Utterances may lack any modality.  UserError where weights are not here.
    """
    entry: dict[str, Any] = corpus.model_dump(mode="json")
    for modality in modalities:
        key = encoder_key(name, modality)
        params = read_encoder(name, corpus, modality).params
        encoder = entry[modality]["encoder"]
        if modality == "text":
            folder = Path("data", name, "text_encoder").absolute()
            if not folder.is_dir():
                raise UserError(
                    f"{folder}: no such folder; dvc repro finetune@{name} makes it, dvc pull fetches it"
                )
            encoder |= {
                "weights": str(folder),
                "revision": None,
                "sha256": find_local(key, str(folder)).sha256(),
            }
        elif names_weights(params) and is_local(params.weights):
            weights = find_local(key, params.weights)
            encoder |= {"weights": str(weights.path), "sha256": params.sha256 or weights.sha256()}
    return entry | {
        # The film is a link in the root to where it lies.
        "format": {"kind": "table", "outside_media": True},
        "root": str(root.absolute()),
        "modalities": list(modalities),
        "max_unobserved": dict.fromkeys(MODALITIES, 1.0),
        "finetune": entry["finetune"] | {"epochs": 0},
        "report": {},
    }
