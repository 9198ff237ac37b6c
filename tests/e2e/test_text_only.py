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
    yaml = YAML(typ="safe")
    params = yaml.load(clone.root / "params.yaml")
    meld = params["corpora"].pop("demo") | {"root": str(REAL), "modalities": ["text"]}
    meld["finetune"] |= {
        "epochs": 0,
        "untrained": {"hidden_size": 32, "layers": 1, "heads": 2, "vocabulary": 500},
    }
    meld["window"] |= {"max_tokens": 64}
    meld["train"] |= {"modalities": ["text"], "epochs": 2, "batch_dialogues": 100, "layers": 1}
    params["corpora"]["meld"] = meld
    with (clone.root / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(params, file)

    printed = clone.run("dvc", "repro", "evaluate@meld")
    assert "Running stage 'demo'" not in printed
    assert "manifest: 13708 utterances, 1432 dialogues; 0 with unusable picture or sound" in printed
    assert "text: 13708 of 13708 utterances observed" in printed
    data = clone.root / "data" / "meld"
    features = read_features(data / "features.h5")
    assert {name: m.features.shape for name, m in features.modalities.items()} == {"text": (13708, 32)}
    metrics = json.loads((data / "metrics.json").read_text(encoding="utf-8"))
    assert 0 < metrics["test"]["weighted_f1"] < 100
    with (data / "predictions.csv").open(encoding="utf-8", newline="") as file:
        assert sum(1 for row in csv.DictReader(file) if row["split"] == "test") == 2610
