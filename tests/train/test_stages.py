"""The stages train and evaluate in a folder of their own."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML
from safetensors.torch import load_file, save_file

import stages.evaluate
import stages.train
from pipeline.errors import UserError
from pipeline.features.file import read_features, write_features
from pipeline.params import MODALITIES
from pipeline.report.results import read_results
from pipeline.runtime import checkpoint_root
from pipeline.store.code import PROJECT
from train.loop import train_seed
from train.model import load_model

SMALL = {
    "hidden_size": 16, "audio_size": 8, "feedforward_size": 24, "layers": 1, "heads": 2, "epochs": 3,
    "batch_dialogues": 4, "seeds": [0, 1],
}  # fmt: skip


@pytest.fixture
def project(tmp_path, make_features, monkeypatch):
    """A project folder that holds params.yaml and the feature file of corpus small."""
    features = make_features()
    folder = tmp_path / "project"
    untrained = {"visual": {"weights": "untrained"}, "finetune": {"encoder": "untrained"}}
    entry = {"format": "meld", "root": "raw", "modalities": list(MODALITIES), "train": SMALL} | untrained
    entry |= {section: {} for section in ("faces", "audio", "window", "text")}
    entry |= {"max_unobserved": dict.fromkeys(MODALITIES, 1.0), "report": {"study": "small"}}
    write_features(folder / "data/small/features.h5", features)
    YAML().dump({"corpora": {"small": entry}}, folder / "params.yaml")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MULTIEMO_DEVICE", "cpu")
    return folder / "data/small"


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_train_then_evaluate_writes_every_output(project, capsys):
    stages.train.main("small")
    stages.evaluate.main("small")
    features = read_features(project / "features.h5")

    curves = read_csv(project / "plots/curves.csv")
    losses = ["train_loss", "train_swfc", "train_soft_hgr", "train_cross_entropy", "dev_loss"]
    assert list(curves[0]) == ["seed", "epoch", *losses, "dev_weighted_f1"]
    assert [(row["seed"], row["epoch"]) for row in curves] == [(s, e) for s in "01" for e in "123"]
    for row in curves:
        parts = (float(row[f"train_{part}"]) for part in ("swfc", "soft_hgr", "cross_entropy"))
        mixture = sum(mu * part for mu, part in zip((0.4, 0.3, 0.3), parts, strict=True))
        assert float(row["train_loss"]) == pytest.approx(mixture, rel=1e-4)

    table = read_csv(project / "predictions.csv")
    expected = Counter(2 * features.id[np.isin(features.split, ["test", "dev"])].tolist())
    assert Counter(row["id"] for row in table) == expected
    for row in table:
        probability = {name: float(row[f"p_{name}"]) for name in features.label_names}
        assert sum(probability.values()) == pytest.approx(1, abs=1e-5)
        assert row["prediction"] == max(probability, key=probability.__getitem__)

    metrics = json.loads((project / "metrics.json").read_text())
    assert list(metrics) == ["untrained", "test", "dev", "test_best_epoch"]
    assert metrics["untrained"] == "visual"
    test = [row for row in table if row["split"] == "test"]
    correct = sum(row["label"] == row["prediction"] for row in test)  # both seeds have as many rows
    assert metrics["test"]["accuracy"] == pytest.approx(100 * correct / len(test), abs=0.006)
    assert list(metrics["test"]["f1"]) == list(features.label_names)
    assert (
        metrics["test"]["weighted_f1_low"]
        < metrics["test"]["weighted_f1"]
        < metrics["test"]["weighted_f1_high"]
    )
    by_seed = read_results(project / "results/small.json").test.seeds
    runs = [by_seed[seed].weighted_f1 for seed in (0, 1)]
    assert metrics["test"]["weighted_f1"] == pytest.approx(np.mean(runs), abs=0.01)
    assert metrics["test"]["weighted_f1_std"] == pytest.approx(np.std(runs, ddof=1), abs=0.02)
    assert metrics["test_best_epoch"]["weighted_f1"] >= metrics["test"]["weighted_f1"]
    for picture in ("confusion.png", "curves.png"):
        assert Image.open(project / "plots" / picture).size[0] > 800

    confusion = [(row["actual"], row["predicted"]) for row in read_csv(project / "plots/confusion.csv")]
    assert confusion == [(row["label"], row["prediction"]) for row in test]

    printed, errors = capsys.readouterr()
    assert "train: 6/6 epochs, " in printed
    assert "\r" not in printed + errors  # as a bar's redrawings are in a log file
    assert "weighted F1" in printed
    assert "These figures say nothing about the method: visual: UNTRAINED" in printed
    assert "The text encoder" not in printed
    assert printed.strip().splitlines()[-1] == "feature file: data/small/features.h5"


def test_a_network_that_predicts_one_class_only_is_said_to_have_learned_nothing(project, capsys):
    stages.train.main("small")
    path = project / "model" / "seed_1.safetensors"
    weights = load_file(path)
    weights["fc_p.bias"][2] = 1e6
    save_file(weights, path)
    stages.evaluate.main("small")
    names = read_features(project / "features.h5").label_names
    printed = capsys.readouterr().out
    assert f"seed 1 predicts nothing but {names[2]}: it has learned nothing; docs/trouble" in printed
    assert printed.count("learned nothing") == 1


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
    assert list(json.loads((project / "metrics.json").read_text())) == ["untrained", "dev"]
    assert "test: no labelled utterance, so no metrics" in capsys.readouterr().out
    assert {row["label"] for row in read_csv(project / "predictions.csv") if row["split"] == "test"} == {""}
    assert (project / "plots/confusion.csv").read_text() == "actual,predicted\n"


def test_a_model_is_not_evaluated_on_other_features_than_it_was_trained_on(project):
    stages.train.main("small")
    features = read_features(project / "features.h5")
    visual = features.modalities["visual"]
    other = replace(visual, features=visual.features * np.float32(2), digest=None)
    write_features(
        project / "features.h5", replace(features, modalities=features.modalities | {"visual": other})
    )
    with pytest.raises(UserError, match="trained on other features"):
        stages.evaluate.main("small")


def test_a_killed_training_goes_on_and_ends_with_the_same_model(project, capsys):
    stages.train.main("small")
    undisturbed = {path.name: path.read_bytes() for path in project.glob("model/*")}
    shutil.rmtree(project / "model")
    states = checkpoint_root()
    assert not list(states.iterdir())  # nothing stays of a run that is done

    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}  # as many as here
    killed = subprocess.Popen(
        [sys.executable, "-m", "stages", "train", "small"], env=environment, stderr=subprocess.DEVNULL
    )
    while killed.poll() is None and not list(states.glob("*/seed_0.pt")):
        time.sleep(0.001)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (project / "model").exists()

    stages.train.main("small")
    assert re.search(r"train: seed 0: goes on after epoch [123] of 3\n", capsys.readouterr().out)
    assert {path.name: path.read_bytes() for path in project.glob("model/*")} == undisturbed
    assert not list(states.iterdir())


def test_the_last_good_model_is_kept_when_a_loss_is_not_finite(project, monkeypatch):
    def poisoned(dialogues, params, seed, on_epoch, checkpoint, on_resume):
        def then_poison(epoch):
            on_epoch(epoch)
            dialogues.features["text"].fill_(np.inf)

        return train_seed(dialogues, params, seed, then_poison, checkpoint, on_resume)

    monkeypatch.setattr(stages.train, "train_seed", poisoned)
    with pytest.raises(
        UserError, match=r"epoch 2, batch 1: .* the best model so far, of epoch 1, is kept in"
    ):
        stages.train.main("small")
    (kept,) = checkpoint_root().glob("*/last_good_model")
    assert load_model(kept).card.selected[0].epoch == 1


def test_the_card_says_which_epoch_the_authors_rule_would_have_picked(project, without_labels):
    stages.train.main("small")
    card = load_model(project / "model").card
    assert all(1 <= selected.best_test_epoch <= 3 for selected in card.selected.values())
    assert all(0 <= selected.best_test_weighted_f1 <= 1 for selected in card.selected.values())
    features = read_features(project / "features.h5")
    write_features(project / "features.h5", without_labels(features, "test"))
    stages.train.main("small")
    assert {s.best_test_epoch for s in load_model(project / "model").card.selected.values()} == {None}
