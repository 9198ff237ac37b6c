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
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

import stages.evaluate
import stages.train
from pipeline.errors import UserError
from pipeline.features.file import read_features, write_features
from pipeline.features.pseudonymisation import pseudonymise
from pipeline.params import Kind, ModelParams
from pipeline.report.results import read_results
from pipeline.report.speed import read_speed
from pipeline.runtime import checkpoint_root, store_root
from pipeline.store.code import PROJECT
from stages.train import train_alone
from tests.dvc_cache import move_into_cache
from tests.train.saved_model import SETTINGS, described
from tests.train.small import NETWORK
from train.loop import TrainingStoppedError, Watcher, train_seed
from train.metrics import compute_metrics
from train.model import load_model, save_model
from train.networks import find_network, with_recipe
from train.networks.multiemo import Params

SMALL = {
    "features": "data/small/features.h5",
    "recipe": "paper",
    "network": NETWORK | {"layers": 1, "dropout": 0.1},
    "epochs": 3,
    "batch_dialogues": 4,
    "seeds": [0, 1],
}


class Project:
    """A folder that holds params.yaml, with models alone, and a feature file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.features = root / "data/small/features.h5"
        self.model = root / "data/models/small"

    def describe(self, **models: dict) -> None:
        """Write params.yaml."""
        with (self.root / "params.yaml").open("w", encoding="utf-8") as file:
            YAML().dump({"models": models}, file)

    def files(self) -> dict[str, bytes]:
        """Content of the trained model's files."""
        return {path.name: path.read_bytes() for path in (self.model / "model").iterdir()}


@pytest.fixture
def project(tmp_path, make_features, monkeypatch):
    """One model, named small."""
    made = Project(tmp_path / "project")
    write_features(made.features, make_features())
    made.describe(small=SMALL)
    monkeypatch.chdir(made.root)
    monkeypatch.setenv("MULTIEMO_DEVICE", "cpu")
    monkeypatch.setenv("MULTIEMO_WORKERS", "1")  # worker processes take seconds to start
    monkeypatch.delenv("MULTIEMO_STORE", raising=False)
    return made


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_what_dvc_keeps_in_its_cache_is_left_alone_when_stages_run_without_it(project):
    project.describe(small=SMALL | {"seeds": [0], "epochs": 1})
    stages.train.main("small")
    stages.evaluate.main("small")
    results = project.root / "data/models/results"
    outputs = [path for folder in (project.model, results) for path in folder.rglob("*.*")]
    first = {path: path.read_bytes() for path in outputs}
    cached = move_into_cache(project.root / "data/models", project.root / "cache")
    stages.train.main("small")
    stages.evaluate.main("small")
    assert {path: path.read_bytes() for path in cached} == cached
    assert {path: path.read_bytes() for path in outputs} == first


def test_train_then_evaluate_writes_every_output(project, capsys):
    stages.train.main("small")
    stages.evaluate.main("small")
    features = read_features(project.features)

    curves = read_csv(project.model / "plots/curves.csv")
    losses = ["train_loss", "train_swfc", "train_soft_hgr", "train_cross_entropy", "dev_loss"]
    assert list(curves[0]) == ["seed", "epoch", *losses, "dev_weighted_f1"]
    assert [(row["seed"], row["epoch"]) for row in curves] == [(s, e) for s in "01" for e in "123"]
    for row in curves:
        parts = (float(row[f"train_{part}"]) for part in ("swfc", "soft_hgr", "cross_entropy"))
        mixture = sum(mu * part for mu, part in zip((0.4, 0.3, 0.3), parts, strict=True))
        assert float(row["train_loss"]) == pytest.approx(mixture, rel=1e-4)

    table = read_csv(project.model / "predictions.csv")
    expected = Counter(2 * features.id[np.isin(features.split, ["test", "dev"])].tolist())
    assert Counter(row["id"] for row in table) == expected
    for row in table:
        probability = {name: float(row[f"p_{name}"]) for name in features.label_names}
        assert sum(probability.values()) == pytest.approx(1, abs=1e-5)
        assert row["prediction"] == max(probability, key=probability.__getitem__)

    metrics = json.loads((project.model / "metrics.json").read_text())
    assert list(metrics) == ["untrained", "test", "ensemble", "dev", "logistic_regression", "test_best_epoch"]
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
    by_seed = read_results(project.root / "data/models/results/small.json").test.seeds
    runs = [by_seed[seed].weighted_f1 for seed in (0, 1)]
    assert metrics["test"]["weighted_f1"] == pytest.approx(np.mean(runs), abs=0.01)
    assert metrics["test"]["weighted_f1_std"] == pytest.approx(np.std(runs, ddof=1), abs=0.02)
    assert metrics["test_best_epoch"]["weighted_f1"] >= metrics["test"]["weighted_f1"]
    for picture in ("confusion.png", "curves.png"):
        assert Image.open(project.model / "plots" / picture).size[0] > 800

    confusion = [(row["actual"], row["predicted"]) for row in read_csv(project.model / "plots/confusion.csv")]
    assert confusion == [(row["label"], row["prediction"]) for row in test]

    printed, errors = capsys.readouterr()
    assert "train: 6/6 epochs, " in printed
    assert "\r" not in printed + errors  # as a bar's redrawings are in a log file
    assert "weighted F1" in printed
    assert "These figures say nothing about the method: visual: UNTRAINED" in printed
    assert printed.strip().splitlines()[-1] == "feature file: data/small/features.h5"


def test_the_ensemble_is_the_seeds_probabilities_averaged(project):
    stages.train.main("small")
    stages.evaluate.main("small")
    metrics = json.loads((project.model / "metrics.json").read_text())
    names = read_features(project.features).label_names
    table = [row for row in read_csv(project.model / "predictions.csv") if row["split"] == "test"]
    by_id: dict[str, list] = {}
    for row in table:
        by_id.setdefault(row["id"], []).append(row)
    label = np.array([names.index(rows[0]["label"]) for rows in by_id.values()])
    mean = np.array([[sum(float(r[f"p_{n}"]) for r in rows) for n in names] for rows in by_id.values()])
    expected = 100 * compute_metrics(label, mean.argmax(axis=1), names).weighted_f1
    assert metrics["ensemble"]["weighted_f1"] == pytest.approx(expected, abs=0.01)


def test_a_model_that_was_trained_on_dev_too_is_not_scored_there(project, capsys):
    project.describe(small=SMALL | {"refit": True, "seeds": [0]})
    stages.train.main("small")
    assert "it is; now on train and dev together" in capsys.readouterr().out
    stages.evaluate.main("small")
    selected = load_model(project.model / "model").card.selected[0]
    assert read_results(project.root / "data/models/results/small.json").dev is None
    metrics = json.loads((project.model / "metrics.json").read_text())
    assert metrics["dev"] == {"weighted_f1": pytest.approx(100 * selected.dev_weighted_f1, abs=0.01)}
    assert "test_best_epoch" not in metrics  # of the training before, on train alone
    assert {row["split"] for row in read_csv(project.model / "predictions.csv")} == {"test"}
    assert f"trained on, together with train, for {selected.epoch} epochs" in capsys.readouterr().out


def test_a_recipe_gives_what_the_entry_leaves_open_and_stands_in_the_card(project):
    network = NETWORK | {"layers": 1}
    entry = {"features": SMALL["features"], "recipe": "authors-meld", "epochs": 1, "network": network}
    project.describe(small=entry)
    stages.train.main("small")
    params = load_model(project.model / "model").card.params
    assert (params.recipe, params.epochs, params.adam_betas) == ("authors-meld", 1, (0.9, 0.999))
    network = params.network.model_dump()
    assert (network["layers"], network["hidden_size"], network["attention_bias"]) == (1, 16, True)
    assert network["loss"]["temperature"] == 1.4


def test_a_recipe_that_does_not_exist_is_named_with_what_may_be_meant(project):
    project.describe(small=SMALL | {"recipe": "author-meld"})
    with pytest.raises(
        UserError, match=r"models\.small\.recipe: 'author-meld' is none of .*'authors-meld'\?"
    ):
        stages.train.main("small")


def test_a_network_that_predicts_one_class_only_is_said_to_have_learned_nothing(project, capsys):
    stages.train.main("small")
    trained = load_model(project.model / "model")
    trained.weights[1]["fc_p.bias"][2] = 1e6
    save_model(project.model / "model", trained)
    stages.evaluate.main("small")
    names = read_features(project.features).label_names
    printed = capsys.readouterr().out
    assert f"seed 1 predicts nothing but {names[2]}: it has learned nothing; docs/trouble" in printed
    assert printed.count("learned nothing") == 1


def test_one_class_is_all_there_is_to_learn_where_dev_has_no_other(project, capsys):
    features = read_features(project.features)
    dev = np.flatnonzero(features.split == "dev")
    label = features.label.copy()
    label[dev], label[dev[0]] = 2, -1  # one of them unlabelled
    write_features(project.features, replace(features, label=label))
    project.describe(small=SMALL | {"seeds": [1], "epochs": 1})
    stages.train.main("small")
    trained = load_model(project.model / "model")
    trained.weights[1]["fc_p.bias"][2] = 1e6
    save_model(project.model / "model", trained)
    stages.evaluate.main("small")
    assert "learned nothing" not in capsys.readouterr().out


def test_training_again_writes_the_same_bytes(project, monkeypatch):
    written = []
    for store in "ab":  # a store of its own, in which there is nothing yet
        monkeypatch.setenv("MULTIEMO_STORE", str(project.root / store))
        stages.train.main("small")
        files = [*project.model.glob("model/*"), *project.model.glob("plots/*")]
        written.append({path.name: path.read_bytes() for path in files})
    assert len(written[0]) == 5
    assert written[0] == written[1]


def test_seeds_side_by_side_give_the_same_bytes_as_one_after_the_other(project, monkeypatch, capfd):
    written = []
    for workers in "12":
        monkeypatch.setenv("MULTIEMO_WORKERS", workers)
        monkeypatch.setenv("MULTIEMO_STORE", str(project.root / workers))
        stages.train.main("small")
        files = [*project.model.glob("model/*"), *project.model.glob("plots/*")]
        written.append({path.name: path.read_bytes() for path in files})
    assert written[0] == written[1]
    printed = capfd.readouterr().out  # of the worker processes, too
    assert printed.count("train: 6/6 epochs, ") == 1
    assert printed.count("train: 3/3 epochs, ") == 2
    assert re.findall(r"train: seed (\d): weighted F1 .*, [\d.e-]+ s an epoch\n", printed) == [*"0101"]


def test_a_worker_says_what_stops_it(project, monkeypatch):
    monkeypatch.setenv("MULTIEMO_WORKERS", "2")
    project.describe(small=SMALL | {"learning_rate": 1e30})
    with pytest.raises(UserError, match=r"stopped at seed \d, epoch 1, .* try a lower learning_rate"):
        stages.train.main("small")


def dies_at_seed_0(task):
    if task[1] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return train_alone(task)


def test_why_a_seed_stopped_is_said_beside_the_death_of_anothers_worker(project, monkeypatch):
    monkeypatch.setenv("MULTIEMO_WORKERS", "2")
    monkeypatch.setattr(stages.train, "train_alone", dies_at_seed_0)
    project.describe(small=SMALL | {"learning_rate": 1e30})
    with pytest.raises(
        UserError,
        match=r"stopped at seed 1, epoch 1, .*; workers died twice at seed 0 \(killed by SIGKILL\), where",
    ):
        stages.train.main("small")


def test_how_fast_it_was_trained_is_kept_and_is_no_output(project):
    stages.train.main("small")
    seconds = read_speed(project.model / "speed.csv")
    assert 0 < seconds < 60
    shutil.rmtree(project.model)
    stages.train.main("small")  # from the item store
    assert read_speed(project.model / "speed.csv") == seconds
    assert read_speed(project.model / "none.csv") is None


def test_a_test_split_without_labels_is_predicted_and_not_scored(project, without_labels, capsys):
    write_features(project.features, without_labels(read_features(project.features), "test"))
    stages.train.main("small")
    stages.evaluate.main("small")
    assert list(json.loads((project.model / "metrics.json").read_text())) == [
        "untrained",
        "dev",
        "logistic_regression",
    ]
    assert "test: no labelled utterance, so no metrics" in capsys.readouterr().out
    test = [row for row in read_csv(project.model / "predictions.csv") if row["split"] == "test"]
    assert {row["label"] for row in test} == {""}
    assert (project.model / "plots/confusion.csv").read_text() == "actual,predicted\n"


def test_a_model_is_not_evaluated_on_other_features_than_it_was_trained_on(project):
    stages.train.main("small")
    features = read_features(project.features)
    visual = features.modalities["visual"]
    other = replace(visual, features=visual.features * np.float32(2), digest=None)
    write_features(project.features, replace(features, modalities=features.modalities | {"visual": other}))
    with pytest.raises(UserError, match="trained on other features"):
        stages.evaluate.main("small")


def start_training(model):
    """Train in a process of its own, with as many threads as here."""
    return subprocess.Popen(
        [sys.executable, "-m", "stages", "train", model],
        env=os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )


def wait_for_state(process):
    """Wait for the first state that a training keeps, or for its end."""
    while process.poll() is None and not list(checkpoint_root().glob("*/state.pt")):
        time.sleep(0.001)


def test_a_killed_training_goes_on_and_ends_with_the_same_model(project, capsys):
    stages.train.main("small")
    undisturbed = project.files()
    shutil.rmtree(project.model)
    shutil.rmtree(store_root())
    assert not list(checkpoint_root().iterdir())  # nothing stays of a run that is done

    killed = start_training("small")
    wait_for_state(killed)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not project.model.exists()

    stages.train.main("small")
    assert re.search(r"train: seed 0: goes on after epoch [123] of 3\n", capsys.readouterr().out)
    assert project.files() == undisturbed
    assert not list(checkpoint_root().iterdir())


def refuse(*_):
    raise AssertionError("a seed is trained that was trained before")


def test_what_is_trained_is_not_trained_again(project, monkeypatch, capsys):
    stages.train.main("small")
    trained = project.files()
    shutil.rmtree(project.model)
    capsys.readouterr()
    monkeypatch.setattr(stages.train, "train_seed", refuse)
    stages.train.main("small")
    assert "train: 0 of 2 seeds to do, 2 stored\n" in capsys.readouterr().out
    assert project.files() == trained
    assert len(read_csv(project.model / "plots/curves.csv")) == 6


def test_a_seed_more_costs_one_training_and_one_less_none(project, monkeypatch, capsys):
    for seeds, printed in (
        ([1], "train: 1 of 1 seeds to do, 0 stored\n"),
        ([5, 1], "train: 1 of 2 seeds to do, 1 stored\n"),
        ([5], "train: 0 of 1 seeds to do, 1 stored\n"),
    ):
        project.describe(small=SMALL | {"seeds": seeds})
        stages.train.main("small")
        assert printed in capsys.readouterr().out
        assert list(load_model(project.model / "model").weights) == seeds


CHANGES = {
    "a constant of the loss": {"network": SMALL["network"] | {"loss": {"temperature": 0.5}}},
    "the learning rate": {"learning_rate": 3e-4},
    "the modalities": {"modalities": ["text", "visual"]},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_param_is_another_training_and_flipped_back_costs_nothing(project, capsys, change):
    project.describe(small=SMALL)
    stages.train.main("small")
    before = project.files()
    project.describe(small=SMALL | CHANGES[change])
    stages.train.main("small")
    assert "train: 2 of 2 seeds to do, 0 stored\n" in capsys.readouterr().out.partition("seed 1: weighted")[2]
    assert project.files()["seed_0.safetensors"] != before["seed_0.safetensors"]
    project.describe(small=SMALL)
    stages.train.main("small")
    assert "train: 0 of 2 seeds to do, 2 stored\n" in capsys.readouterr().out
    assert project.files() == before


def test_the_same_model_under_another_name_is_not_trained_again(project, capsys):
    stages.train.main("small")
    explicit = SMALL | {"modalities": ["text", "audio", "visual"], "l2": 0.00001}  # what the defaults are
    copy = project.features.with_name("copy.h5")
    shutil.copy(project.features, copy)
    project.describe(other=explicit | {"features": "data/small/copy.h5"})
    capsys.readouterr()
    stages.train.main("other")
    assert "train: 0 of 2 seeds to do, 2 stored\n" in capsys.readouterr().out


def revised(features):
    """The features with another encoder of faces, and more said of how they were made."""
    visual = features.modalities["visual"]
    other = replace(visual, features=visual.features[:, :5] * np.float32(2), digest=None)
    provenance = features.provenance | {"encoders": {"visual": "another"}}
    return replace(features, modalities=features.modalities | {"visual": other}, provenance=provenance)


@pytest.mark.parametrize("change", [revised, lambda features: pseudonymise(features, Random(0))[0]])
def test_what_a_model_does_not_see_of_a_file_trains_nothing_again(project, capsys, change):
    text = SMALL | {"modalities": ["text"]}
    project.describe(small=text)
    stages.train.main("small")
    stages.evaluate.main("small")
    weights = {name: content for name, content in project.files().items() if name != "model.json"}
    write_features(project.features, change(read_features(project.features)))
    capsys.readouterr()
    stages.train.main("small")
    assert "train: 0 of 2 seeds to do, 2 stored\n" in capsys.readouterr().out
    assert {name: project.files()[name] for name in weights} == weights
    stages.evaluate.main("small")  # of the features that there are now


def test_of_two_runs_of_one_training_the_second_waits_and_finds_it_done(project, monkeypatch, capsys):
    long = SMALL | {"epochs": 60, "seeds": [0]}
    project.describe(small=long, same=long)
    first = start_training("same")
    wait_for_state(first)
    monkeypatch.setattr(stages.train, "train_seed", refuse)
    stages.train.main("small")
    assert first.wait() == 0
    printed = capsys.readouterr().out
    assert "train: 1 of 1 seeds to do, 0 stored\nwaiting for another run that works in" in printed
    theirs = project.root / "data/models/same/model/seed_0.safetensors"
    assert theirs.read_bytes() == project.files()["seed_0.safetensors"]


def test_a_model_gets_all_that_its_params_leave_open(project):
    """The defaults of its kind, and the modalities that the file holds."""
    features = read_features(project.features)
    two = {name: features.modalities[name] for name in ("visual", "text")}
    write_features(project.features, replace(features, modalities=two))
    network = {"kind": "multiemo", "hidden_size": 16, "heads": 2, "feedforward_size": 24, "layers": 1}
    entry = {"features": "data/small/features.h5", "recipe": "paper", "network": network, "epochs": 1}
    project.describe(small=entry)
    stages.train.main("small")
    params = load_model(project.model / "model").card.params
    assert params.modalities == ("text", "visual")
    assert params.network == Kind.model_validate(Params(**network).model_dump())
    assert params.training() == ModelParams(features="x", epochs=1).training()
    written = json.loads((project.model / "model/model.json").read_text())["params"]
    assert written["network"]["loss"]["temperature"] == 0.8


def test_a_modality_that_the_file_lacks_is_named(project):
    features = read_features(project.features)
    write_features(project.features, replace(features, modalities={"text": features.modalities["text"]}))
    project.describe(small=SMALL | {"modalities": ["text", "audio"]})
    with pytest.raises(UserError, match="holds no audio features"):
        stages.train.main("small")


def test_the_last_good_model_is_kept_when_a_loss_is_not_finite(project, monkeypatch):
    class Poison(Watcher):
        def __init__(self, dialogues):
            self.dialogues = dialogues

        def on_epoch(self, epoch):
            self.dialogues.features["text"].fill_(np.inf)

    def poisoned(dialogues, params, seed, watcher, checkpoint):
        return train_seed(dialogues, params, seed, Poison(dialogues), checkpoint)

    monkeypatch.setattr(stages.train, "train_seed", poisoned)
    with pytest.raises(
        UserError, match=r"epoch 2, batch 1: .* the best model so far, of epoch 1, is kept in"
    ):
        stages.train.main("small")
    (kept,) = checkpoint_root().glob("*/last_good_model")
    assert load_model(kept).card.selected[0].epoch == 1


def test_keys_of_an_entry_override_its_recipes_and_a_mapping_is_taken_whole():
    network = Kind(kind="multiemo", reduced_sizes={"audio": 512}, loss={"temperature": 0.5})
    model = with_recipe(ModelParams(features="x", network=network, recipe="authors-meld"), "models.x")
    params = find_network(model.network, "x").params
    assert params.reduced_sizes == {"audio": 512}
    assert (params.loss.temperature, params.loss.soft_hgr, params.mlp_size) == (0.5, "authors", 512)


def test_an_entry_is_judged_beside_the_values_of_its_recipe():
    network = Kind(kind="multiemo", loss={"swfc_weight": 0.8})  # too much beside the 0.3 of the paper
    model = with_recipe(ModelParams(features="x", network=network, recipe="default"), "models.x")
    assert find_network(model.network, "x").params.loss.soft_hgr_weight == 0
    by_the_paper = with_recipe(ModelParams(features="x", network=network, recipe="paper"), "models.x")
    with pytest.raises(UserError, match="must not exceed 1"):
        find_network(by_the_paper.network, "models.x.network")


def test_a_feature_file_may_tell_of_its_encoders_in_words_alone(project):
    features = read_features(project.features)
    sources = {"text": {"settings": {"encoder": "roberta"}}}
    write_features(project.features, replace(features, provenance=features.provenance | {"sources": sources}))
    project.describe(small=SMALL | {"seeds": [0], "epochs": 1})
    stages.train.main("small")
    stages.evaluate.main("small")
    assert read_results(project.root / "data/models/results/small.json").encoder_kinds == {"text": ""}


def test_the_card_says_how_faces_were_found(project):
    write_features(project.features, described(read_features(project.features)))
    project.describe(small=SMALL | {"seeds": [0], "epochs": 1})
    stages.train.main("small")
    settings = load_model(project.model / "model").card.settings
    assert settings == SETTINGS | {
        "visual": SETTINGS["visual"] | {"faces": {"frames_per_utterance": 20}},
    }


def test_a_seed_that_diverges_stops_no_other(project, monkeypatch, capsys):
    def diverges(dialogues, params, seed, *rest):
        if seed == 0:
            raise TrainingStoppedError("training stopped at seed 0: the loss is nan", None)
        return train_seed(dialogues, params, seed, *rest)

    monkeypatch.setattr(stages.train, "train_seed", diverges)
    with pytest.raises(
        UserError, match=r"stopped at seed 0: .*; what is finished of the other seeds is kept"
    ):
        stages.train.main("small")
    project.describe(small=SMALL | {"seeds": [1]})
    capsys.readouterr()
    stages.train.main("small")
    assert "train: 0 of 1 seeds to do, 1 stored" in capsys.readouterr().out


def test_the_card_says_which_epoch_the_authors_rule_would_have_picked(project, without_labels):
    stages.train.main("small")
    card = load_model(project.model / "model").card
    assert all(1 <= selected.best_test_epoch <= 3 for selected in card.selected.values())
    assert all(0 <= selected.best_test_weighted_f1 <= 1 for selected in card.selected.values())
    features = read_features(project.features)
    write_features(project.features, without_labels(features, "test"))
    stages.train.main("small")
    assert {s.best_test_epoch for s in load_model(project.model / "model").card.selected.values()} == {None}
