"""All modalities of a corpus -> features.h5, the file that is shared, and quarantine.csv.

quarantine.csv lists what was not observed: utterance, modality and reason, one row each.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.encoders.weights import read_licences
from pipeline.features.content import SPLITS, UNLABELLED, Features, ModalityFeatures
from pipeline.features.file import write_features
from pipeline.manifest import Utterance, read_labels, read_media, read_utterances
from pipeline.params import CorpusParams, read_params
from pipeline.store.atomic import write_csv
from pipeline.work.stagefile import read_stage_file


def main(corpus: str) -> None:
    """Write ``data/<corpus>/features.h5`` and ``data/<corpus>/quarantine.csv``."""
    params = read_params().corpus(corpus)
    folder = Path("data", corpus)
    features = _assemble(corpus, params, folder)
    write_features(folder / "features.h5", features)
    quarantined = _write_quarantine(folder / "quarantine.csv", features)
    for modality, encoder in features.provenance["encoders"].items():
        print(f"features: {modality}: {encoder}")
    dimensions = ", ".join(f"{name} {m.features.shape[1]}" for name, m in features.modalities.items())
    print(f"features: {len(features)} utterances ({dimensions}), {quarantined} entries in quarantine.csv")


def _assemble(corpus: str, params: CorpusParams, folder: Path) -> Features:
    utterances, media = read_utterances(folder / "utterances.csv"), read_media(folder / "media.csv")
    ids = [row.id for row in utterances]
    licences = read_licences(folder / "weights.json")
    modalities: dict[str, ModalityFeatures] = {}
    sources: dict[str, dict[str, Any]] = {}
    for name in params.modalities:
        arrays, source = read_stage_file(folder / f"{name}.h5", ids)
        observed = arrays["reason"] == ""
        modalities[name] = ModalityFeatures(
            arrays["features"], observed, arrays["reason"], feature_name=arrays.get("feature_name")
        )
        keys = "\n".join(arrays["item_key"].tolist())
        # What a GPU finds may differ from a CPU's beyond rounding, where a face is at a threshold.
        devices = sorted(set(arrays.get("device", np.empty(0, str)).tolist())) or ["cpu"]
        sources[name] = source | {
            "items_sha256": hashlib.sha256(keys.encode()).hexdigest(),
            "devices": devices,
        }
        if licence := licences.get(name):
            sources[name]["licence"] = licence
    labels = read_labels(folder / "labels.json")
    column = _columns(utterances)
    return Features(
        corpus=corpus,
        label_names=labels,
        id=column["id"],
        split=column["split"],
        dialogue=column["dialogue"],
        position=column["position"],
        speaker=column["speaker"],
        label=np.array([labels.index(row.label) if row.label else UNLABELLED for row in utterances]),
        text=column["text"],
        start_s=np.array([np.nan if row.start_s is None else row.start_s for row in media]),
        end_s=np.array([np.nan if row.end_s is None else row.end_s for row in media]),
        modalities=modalities,
        provenance={
            "encoders": {name: source["encoder"] for name, source in sources.items()},
            "sources": sources,
            "splits": {split: sum(row.split == split for row in utterances) for split in SPLITS},
        },
    )


def _columns(utterances: list[Utterance]) -> dict[str, Any]:
    # Text as objects: a fixed-width array would give every row the width of the longest line.
    columns = {name: [getattr(row, name) for row in utterances] for name in Utterance.__annotations__}
    return {name: np.array(c, dtype=int if name == "position" else object) for name, c in columns.items()}


def _write_quarantine(path: Path, features: Features) -> int:
    """Write one row per utterance and modality that was not observed; the number of rows."""
    rows = [
        (str(features.id[row]), name, str(modality.reason[row]))
        for row in range(len(features))
        for name, modality in features.modalities.items()
        if not modality.observed[row]
    ]
    write_csv(path, ("utterance", "modality", "reason"), rows)
    return len(rows)
