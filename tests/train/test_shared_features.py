"""Pseudonymised features: a trained model says the same of them, and a new one comes out the same."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from ruamel.yaml import YAML

import stages.evaluate
import stages.train
from pipeline.console.__main__ import main
from pipeline.features.content import UTTERANCE_COLUMNS, Features
from pipeline.features.dialogues import find_dialogues
from pipeline.features.file import write_features
from pipeline.params import ModelParams
from tests.train.saved_model import described, save_small_model
from tests.train.small import NETWORK


def pseudonymise(features: Path, folder: Path) -> dict[str, str]:
    """Export the features without names and words; id -> code."""
    key = folder.with_suffix(".csv")
    export = ["export", str(features), "--to", "features", "--without-text", "-o", str(folder)]
    assert main([*export, "--pseudonymise", str(key)]) == 0
    with key.open(encoding="utf-8", newline="") as file:
        return {row["name"]: row["code"] for row in csv.DictReader(file) if row["kind"] == "utterance"}


def test_a_model_says_the_same_of_every_utterance_and_of_the_whole(
    tmp_path: Path,
    make_features: Callable[..., Features],
    small_params: ModelParams,
) -> None:
    save_small_model(tmp_path / "model", make_features(), small_params)
    features = described(make_features(train=3, dev=2, test=3, seed=7))
    write_features(tmp_path / "features.h5", features)
    codes = pseudonymise(tmp_path / "features.h5", tmp_path / "shared")
    said = []
    for name in ("features.h5", "shared/features.h5"):
        output = tmp_path / "predictions.csv"
        arguments = ["predict", str(tmp_path / name), "--model", str(tmp_path / "model"), "-o", str(output)]
        assert main(arguments) == 0
        with output.open(encoding="utf-8", newline="") as file:
            said.append({row["id"]: row for row in csv.DictReader(file)})
    assert len(said[0]) == len(features)
    for id, row in said[0].items():
        other = said[1][codes[id]]
        same = [name for name in row if name.startswith("p_")] + ["label", "prediction", "split"]
        assert [row[name] for name in same] == [other[name] for name in same]


class Trained(NamedTuple):
    """What is left of a training and its evaluation."""

    weights: dict[str, bytes]
    """The files of the networks and of the standardisation."""
    curves: bytes
    metrics: bytes
    predictions: dict[tuple[str, str], dict[str, str]]
    """By utterance and seed."""
    results: dict[str, object]


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Trained]:
    """Train and evaluate two seeds on a feature file, all that hangs on an order in use."""

    def run(features: Path) -> Trained:
        folder = tmp_path / f"trained on {features.parent.name}"
        folder.mkdir()
        monkeypatch.chdir(folder)
        monkeypatch.setenv("MULTIEMO_STORE", str(folder / "store"))  # where nothing is trained yet
        entry = {
            "features": str(features), "recipe": "paper", "network": NETWORK | {"layers": 1, "dropout": 0.1},
            "epochs": 3, "batch_dialogues": 4, "seeds": [0, 1], "modality_dropout": 0.1, "refit": True,
        }  # fmt: skip
        YAML(typ="safe").dump({"models": {"small": entry}}, Path("params.yaml"))
        stages.train.main("small")
        stages.evaluate.main("small")
        model = Path("data/models/small")
        with (model / "predictions.csv").open(encoding="utf-8", newline="") as file:
            predictions = {(row.pop("id"), row["seed"]): row for row in csv.DictReader(file)}
        return Trained(
            weights={path.name: path.read_bytes() for path in model.glob("model/*.safetensors")},
            curves=(model / "plots/curves.csv").read_bytes(),
            metrics=(model / "metrics.json").read_bytes(),
            predictions=predictions,
            results=json.loads(Path("data/models/results/small.json").read_text(encoding="utf-8")),
        )

    monkeypatch.setenv("MULTIEMO_DEVICE", "cpu")
    monkeypatch.setenv("MULTIEMO_WORKERS", "1")
    return run


def test_a_training_on_them_gives_the_same_model_and_scores_to_the_last_bit(
    tmp_path: Path, make_features: Callable[..., Features], train: Callable[[Path], Trained]
) -> None:
    features = make_features(test=12)
    paths = [tmp_path / name / "features.h5" for name in ("mine", "shared", "turned")]
    write_features(paths[0], described(features))
    codes = pseudonymise(paths[0], paths[1].parent)
    # Other dialogues come first, last and together, under their own names.
    turned = sorted(find_dialogues(features), key=lambda dialogue: (dialogue.split, dialogue.rows.start))[
        ::-1
    ]
    rows = np.array([row for dialogue in turned for row in dialogue.rows])
    columns = {name: getattr(features, name)[rows] for name in UTTERANCE_COLUMNS}
    modalities = {name: each.take(rows) for name, each in features.modalities.items()}
    write_features(paths[2], described(replace(features, **columns, modalities=modalities)))

    mine, shared, other = map(train, paths)
    assert len(mine.weights) == 3
    for each, names in ((shared, codes), (other, {id: id for id in codes})):
        assert (each.weights, each.curves, each.metrics) == (mine.weights, mine.curves, mine.metrics)
        assert each.predictions == {(names[id], seed): row for (id, seed), row in mine.predictions.items()}
        named = {"corpus": each.results["corpus"], "params": each.results["params"]}
        assert each.results == mine.results | named
