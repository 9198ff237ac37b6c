"""The stages train and evaluate in a folder of their own."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

import stages.evaluate
import stages.train
from pipeline.errors import UserError
from pipeline.features import read_features, write_features

SMALL = {
    "hidden_size": 16, "audio_size": 8, "feedforward_size": 24, "layers": 1, "heads": 2, "epochs": 3,
    "batch_dialogues": 4, "seeds": [0, 1],
}  # fmt: skip


@pytest.fixture
def project(tmp_path, make_features, monkeypatch):
    """A project folder that holds params.yaml and the feature file of corpus small."""
    features = make_features()
    entry = {"format": "meld", "root": "raw", "visual": {"weights": "untrained"}, "finetune": {"encoder": "untrained"}}
    folder = tmp_path / "project"
    write_features(folder / "data/small/features.h5", features)
    YAML().dump({"corpora": {"small": entry | {"train": SMALL}}}, folder / "params.yaml")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MULTIEMO_DEVICE", "cpu")
    return folder / "data/small"


def test_train_then_evaluate_writes_every_output(project, capsys):
    stages.train.main("small")
    stages.evaluate.main("small")
    features = read_features(project / "features.h5")

    curves = pd.read_csv(project / "plots/curves.csv")
    assert list(curves.columns) == [
        "seed", "epoch", "train_loss", "train_swfc", "train_soft_hgr", "train_cross_entropy", "dev_loss", "dev_weighted_f1"
    ]  # fmt: skip
    assert curves[["seed", "epoch"]].values.tolist() == [[s, e] for s in (0, 1) for e in (1, 2, 3)]
    mixture = 0.4 * curves.train_swfc + 0.3 * curves.train_soft_hgr + 0.3 * curves.train_cross_entropy
    np.testing.assert_allclose(mixture, curves.train_loss, rtol=1e-4)

    table = pd.read_csv(project / "predictions.csv")
    test_or_dev = np.isin(features.split, ["test", "dev"])
    assert sorted(table.id) == sorted(2 * features.id[test_or_dev].tolist())
    probabilities = table[["p_neutral", "p_joy", "p_anger"]]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities.idxmax(axis=1).str.removeprefix("p_") == table.prediction).all()

    metrics = json.loads((project / "metrics.json").read_text())
    assert list(metrics) == ["encoders", "dev", "test"]
    test = table[table.split == "test"]
    accuracy = [100 * (rows.label == rows.prediction).mean() for _, rows in test.groupby("seed")]
    assert metrics["test"]["accuracy"] == pytest.approx(np.mean(accuracy), abs=0.006)
    assert sorted(metrics["test"]["f1"]) == ["anger", "joy", "neutral"]

    confusion = pd.read_csv(project / "plots/confusion.csv")
    assert confusion.values.tolist() == test[["label", "prediction"]].values.tolist()

    printed = capsys.readouterr().out
    assert "weighted F1" in printed
    assert "The visual encoder is untrained" in printed
    assert "The text encoder" not in printed
    assert printed.strip().splitlines()[-1] == "feature file: data/small/features.h5"


def test_training_again_writes_the_same_bytes(project):
    written = []
    for _ in range(2):
        stages.train.main("small")
        files = sorted(p for p in [*project.glob("model/*"), *project.glob("plots/*")])
        written.append({p.name: p.read_bytes() for p in files})
    assert len(written[0]) == 5
    assert written[0] == written[1]


def test_a_test_split_without_labels_is_predicted_and_not_scored(project, without_labels, capsys):
    write_features(project / "features.h5", without_labels(read_features(project / "features.h5"), "test"))
    stages.train.main("small")
    stages.evaluate.main("small")
    assert list(json.loads((project / "metrics.json").read_text())) == ["encoders", "dev"]
    assert "test: no labelled utterance, so no metrics" in capsys.readouterr().out
    table = pd.read_csv(project / "predictions.csv")
    assert table[table.split == "test"].label.isna().all()
    assert (project / "plots/confusion.csv").read_text() == "actual,predicted\n"


def test_a_model_is_not_evaluated_on_other_features_than_it_was_trained_on(project):
    stages.train.main("small")
    features = read_features(project / "features.h5")
    visual = features.modalities["visual"]
    other = replace(visual, features=visual.features * np.float32(2))
    write_features(project / "features.h5", replace(features, modalities=features.modalities | {"visual": other}))
    with pytest.raises(UserError, match="trained on other features"):
        stages.evaluate.main("small")
