"""A network that is added in one file, in a copy of the project: nothing else is told of it."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.features.content import Features
from pipeline.features.file import write_features
from pipeline.store.code import PACKAGES, PROJECT
from tests.train.small import NETWORK

BAG = '''"""The mean of a dialogue's features, added to each utterance's own."""

from typing import Annotated, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pipeline.params import Section
from pipeline.features.content import UNLABELLED


class Params(Section):
    """Its one size."""

    kind: Literal["bag_of_features"] = "bag_of_features"
    hidden_size: Annotated[int, Field(ge=1)] = 8


class Output(NamedTuple):
    logits: Tensor
    hidden: Tensor


class Bag(nn.Module):
    def __init__(self, params, dims, classes):
        super().__init__()
        self.reduce = nn.ModuleDict({name: nn.Linear(dim, params.hidden_size) for name, dim in dims.items()})
        self.norm = nn.BatchNorm1d(params.hidden_size)  # whose buffers are no parameters, one of them a count
        self.classify = nn.Linear(params.hidden_size, classes)

    def forward(self, batch):
        hidden = sum(self.reduce[name](table) for name, table in batch.features.items())
        mean = batch.packing.pad(hidden).sum(1) / batch.packing.valid.sum(1, keepdim=True)
        everywhere = mean[:, None].expand(-1, batch.packing.shape[1], -1)
        hidden = self.norm(hidden + batch.packing.pack(everywhere))
        return Output(self.classify(hidden.relu()), hidden)

    def losses(self, output, label):
        cross_entropy = F.cross_entropy(output.logits, label, ignore_index=UNLABELLED)
        compactness = output.hidden[label != UNLABELLED].square().mean()
        return {"total": cross_entropy + 0.01 * compactness, "compactness": compactness}


def build(params, dims, class_counts):
    return Bag(params, dims, len(class_counts))
'''
CODE = "import stages.train, stages.evaluate, stages.compare"


@pytest.fixture
def project(tmp_path: Path, make_features: Callable[..., Features]) -> Path:
    """A copy of the project's code, with a feature file and two models of different kinds."""
    root = tmp_path / "project"
    for package in PACKAGES:
        shutil.copytree(PROJECT / package, root / package)
    write_features(root / "data/small/features.h5", make_features(train=20, noise=0.2))
    training = {"features": "data/small/features.h5", "batch_dialogues": 4, "learning_rate": 0.01}
    models = {
        "paper": training | {"network": NETWORK, "epochs": 1},
        "bag": training | {"network": {"kind": "bag_of_features"}, "epochs": 6},
    }
    with (root / "params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump({"models": models}, file)
    return root


def run(project: Path, code: str) -> str:
    """What code prints in the copy."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MULTIEMO_")}
    environment |= {"PYTHONPATH": str(project), "MULTIEMO_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_network_added_in_one_file_trains_evaluates_and_is_compared(project: Path) -> None:
    assert "1 of 1 seeds to do, 0 stored" in run(project, f"{CODE}; stages.train.main('paper')")
    (project / "train/networks/bag_of_features.py").write_text(BAG, encoding="utf-8")
    steps = [
        f"stages.{stage}.main('{model}')" for model in ("paper", "bag") for stage in ("train", "evaluate")
    ]
    printed = run(project, "; ".join([CODE, *steps, "stages.train.main('bag')", "stages.compare.main()"]))
    assert printed.count("train: 0 of 1 seeds to do, 1 stored") == 2  # of the other kind, and its own
    assert "bag: bag_of_features on text + audio + visual of data/small/features.h5, seeds 0" in printed

    with (project / "data/models/bag/plots/curves.csv").open(encoding="utf-8", newline="") as file:
        curves = list(csv.DictReader(file))
    columns = ["seed", "epoch", "train_loss", "train_compactness", "dev_loss", "dev_weighted_f1"]
    assert list(curves[0]) == columns
    assert len(curves) == 6
    assert float(curves[-1]["train_loss"]) < float(curves[0]["train_loss"])
    assert (project / "data/models/bag/predictions.csv").exists()
    page = (project / "data/models/compare.html").read_text(encoding="utf-8")
    assert '<td class="text">bag_of_features</td>' in page
    assert "<dt>network.hidden_size</dt><dd>8</dd>" in page


def test_a_recipe_that_is_added_trains_no_model_of_the_kind_again(project: Path) -> None:
    trained = f"{CODE}; stages.train.main('paper')"
    assert "1 of 1 seeds to do, 0 stored" in run(project, trained)
    with (project / "train/networks/multiemo.py").open("a", encoding="utf-8") as file:
        file.write('RECIPES["mine"] = {"epochs": 3}\n')
    assert "0 of 1 seeds to do, 1 stored" in run(project, trained)
