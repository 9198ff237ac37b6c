"""Pseudonymised features under a trained model."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipeline.console.__main__ import main
from pipeline.features.file import Features, write_features
from pipeline.params import ModelParams
from tests.train.saved_model import described, save_small_model


def test_a_model_says_the_same_of_every_utterance_and_of_the_whole(
    tmp_path: Path,
    make_features: Callable[..., Features],
    small_params: ModelParams,
) -> None:
    save_small_model(tmp_path / "model", make_features(), small_params)
    features = described(make_features(train=3, dev=2, test=3, seed=7))
    write_features(tmp_path / "features.h5", features)
    key = tmp_path / "key.csv"
    export = ["export", str(tmp_path / "features.h5"), "--to", "features", "-o", str(tmp_path / "shared")]
    assert main([*export, "--pseudonymise", str(key)]) == 0
    said = []
    for name in ("features.h5", "shared/features.h5"):
        output = tmp_path / "predictions.csv"
        arguments = ["predict", str(tmp_path / name), "--model", str(tmp_path / "model"), "-o", str(output)]
        assert main(arguments) == 0
        with output.open(encoding="utf-8", newline="") as file:
            said.append({row["id"]: row for row in csv.DictReader(file)})
    with key.open(encoding="utf-8", newline="") as file:
        codes = {row["name"]: row["code"] for row in csv.DictReader(file) if row["kind"] == "utterance"}
    for id, row in said[0].items():
        other = said[1][codes[id]]
        assert (row["label"], row["prediction"], row["split"]) == tuple(
            other[column] for column in ("label", "prediction", "split")
        )
        shares = [[float(each[name]) for name in each if name.startswith("p_")] for each in (row, other)]
        np.testing.assert_allclose(*shares, atol=2e-6)
