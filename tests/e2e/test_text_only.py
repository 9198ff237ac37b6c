"""MELD's real annotation files without a single clip: a legitimate corpus of text alone."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.features.file import read_features
from tests.e2e.conftest import Clone

pytestmark = pytest.mark.e2e
REAL = Path(__file__).parents[3] / "shared" / "data" / "meld"


@pytest.mark.skipif(not REAL.is_dir(), reason="MELD's annotation files are not here")
def test_melds_annotations_alone_run_through_to_metrics(clone: Clone) -> None:
    meld = {
        "format": "meld",
        "root": str(REAL),
        "modalities": ["text"],
        "max_unobserved": {"text": 0.0, "audio": 0.0, "visual": 0.0},
        "faces": {},
        "visual": {},
        "audio": {},
        "window": {"max_tokens": 64},
        "finetune": {"epochs": 0},
        "text": {
            "encoder": {
                "kind": "transformers",
                "weights": "untrained",
                "untrained": {"hidden_size": 32, "layers": 1, "heads": 2, "vocabulary": 500},
            }
        },
        "report": {},
    }
    model = {
        "features": "data/meld/features.h5",
        "network": {"kind": "multiemo", "layers": 1},
        "epochs": 2,
        "batch_dialogues": 100,
    }
    with (clone.root / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump({"corpora": {"meld": meld}, "models": {"words": model}}, file)

    printed = clone.run("dvc", "repro", "evaluate@words")
    assert "Running stage 'demo'" not in printed
    assert "manifest: 13708 utterances, 1432 dialogues; 0 with unusable picture or sound" in printed
    assert "text: 13708 of 13708 utterances observed" in printed
    data, words = clone.root / "data" / "meld", clone.root / "data" / "models" / "words"
    features = read_features(data / "features.h5")
    assert {name: m.features.shape for name, m in features.modalities.items()} == {"text": (13708, 32)}
    metrics = json.loads((words / "metrics.json").read_text(encoding="utf-8"))
    assert 0 < metrics["test"]["weighted_f1"] < 100
    with (words / "predictions.csv").open(encoding="utf-8", newline="") as file:
        assert sum(1 for row in csv.DictReader(file) if row["split"] == "test") == 2610
