"""Only what changed is computed again, and the result is that of a run from scratch."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import pytest

from pipeline.store.h5 import read_h5
from tests.e2e.conftest import Clone
from tests.e2e.lab import extract, lab_clone, outputs, stages_run, work_done

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def lab(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone that has extracted its corpus, which lies beside it; tests put back what they change."""
    folder = tmp_path_factory.mktemp("incremental")
    corpus = Path(shutil.copytree(demo_root, folder / "corpus"))
    clone = lab_clone(folder / "clone", corpus, folder / "store", MULTIEMO_WORKERS="1")
    assert work_done(extract(clone)) == dict.fromkeys(("faces", "visual", "audio", "text"), "5 of 5")
    return clone


@pytest.fixture
def corpus(lab: Clone, demo_root: Path) -> Iterator[Path]:
    folder = lab.root.parent / "corpus"
    yield folder
    shutil.rmtree(folder)
    shutil.copytree(demo_root, folder)


@pytest.fixture(autouse=True)
def put_back(lab: Clone) -> Iterator[None]:
    yield
    lab.run("git", "checkout", "--quiet", "params.yaml", "pipeline", "stages")
    lab.run("git", "clean", "--force", "--quiet", "pipeline", "train")


def extract_from_scratch(lab: Clone, workers: int, store: Path) -> dict[str, bytes]:
    """What all extraction stages make of the clone's manifest with a store that is empty."""
    scratch = replace(lab, environment={"MULTIEMO_STORE": str(store), "MULTIEMO_WORKERS": str(workers)})
    stages = ("faces", "visual", "audio", "text")
    printed = [scratch.run("python", "-m", "stages", stage, "demo") for stage in stages]
    assert work_done("".join(printed)) == dict.fromkeys(stages, "5 of 5")
    return outputs(scratch)


def test_nothing_is_done_twice(lab: Clone) -> None:
    assert stages_run(extract(lab)) == []


def test_the_number_of_workers_changes_no_byte(lab: Clone, tmp_path: Path) -> None:
    one = outputs(lab)
    assert extract_from_scratch(lab, 3, tmp_path / "store") == one


def test_a_changed_clip_costs_its_dialogue_and_the_result_is_that_of_a_run_from_scratch(
    lab: Clone, corpus: Path, tmp_path: Path
) -> None:
    clips = corpus / "dev_splits_complete"
    shutil.copy(clips / "dia0_utt1.mp4", clips / "dia0_utt0.mp4")
    printed = extract(lab)
    assert stages_run(printed) == ["manifest@demo", "faces@demo", "visual@demo", "audio@demo"]
    assert work_done(printed) == dict.fromkeys(("faces", "visual", "audio"), "1 of 5")
    assert "faces: 1 of 5 dialogues to do, 4 stored" in printed
    changed = outputs(lab)
    assert extract_from_scratch(lab, 4, tmp_path / "store") == changed


def test_a_deleted_dialogue_leaves_nothing_behind_and_an_added_one_costs_itself(
    lab: Clone, corpus: Path
) -> None:
    table = corpus / "train_sent_emo.csv"
    head, *rows = csv.reader(table.read_text(encoding="utf-8").splitlines())
    dialogue = head.index("Dialogue_ID")

    def extract_sound_of(kept: list[list[str]]) -> dict[str, str]:
        with table.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([head, *kept])
        return work_done(lab.run("dvc", "repro", "audio@demo"))

    assert extract_sound_of([row for row in rows if row[dialogue] != "0"]) == {"audio": "0 of 4"}
    arrays, _ = read_h5(lab.root / "data/demo/audio.h5")
    assert [name for name in arrays["id"].tolist() if name.startswith("train_dia0_")] == []
    assert len(arrays["features"]) == 8

    # Another dialogue, of the first one's clips in the other order.
    added = [[*row[:dialogue], "7", *row[dialogue + 1 :]] for row in rows if row[dialogue] == "0"]
    clips = corpus / "train_splits"
    for here, there in ((0, 1), (1, 0)):
        shutil.copy(clips / f"dia0_utt{here}.mp4", clips / f"dia7_utt{there}.mp4")
    assert extract_sound_of([*rows, *added]) == {"audio": "1 of 6"}


def test_a_param_flipped_and_flipped_back_costs_nothing_the_second_time(lab: Clone) -> None:
    lab.run("dvc", "repro", "audio@demo")
    before = outputs(lab)
    lab.edit("params.yaml", "silence_dbfs: -70.0", "silence_dbfs: -69.0")
    assert work_done(lab.run("dvc", "repro", "audio@demo")) == {"audio": "5 of 5"}
    lab.edit("params.yaml", "silence_dbfs: -69.0", "silence_dbfs: -70.0")
    assert stages_run(lab.run("dvc", "repro", "audio@demo")) == []
    # Neither does it without DVC's memory of runs.
    assert work_done(lab.run("dvc", "repro", "--force", "--single-item", "audio@demo")) == {"audio": "0 of 5"}
    assert outputs(lab) == before


def test_a_comment_costs_nothing_and_a_constant_costs_the_stage(lab: Clone) -> None:
    module = "pipeline/encoders/audio_vectors.py"
    lab.edit(module, '    """Features and reasons', '    # Words.\n    """The features and reasons')
    assert stages_run(lab.run("dvc", "repro", "audio@demo")) == ["code"]
    lab.edit(module, "silence_dbfs / 20)", "silence_dbfs / 21)")
    assert work_done(lab.run("dvc", "repro", "audio@demo")) == {"audio": "5 of 5"}


LOUDNESS = '''"""Sound by its loudness."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.params import Section


class Params(Section):
    """Nothing but what is measured."""

    kind: Literal["loudness"] = "loudness"
    decibels: bool = True
    """Whether on a logarithmic scale."""


@dataclass(frozen=True)
class Encoder:
    """Mean and peak."""

    params: Params
    dimension = 2
    description = "loudness"
    libraries = ()
    feature_names = ("rms", "peak")

    @property
    def settings(self):
        """What defines it."""
        return {"encoder": self.params.model_dump(mode="json")}

    def embed(self, samples):
        """Two values."""
        values = np.array([np.sqrt(np.mean(samples**2)), np.abs(samples).max()], np.float32)
        return 20 * np.log10(values) if self.params.decibels else values


def find_encoder(key, params, weights):
    """The encoder."""
    return Encoder(params)
'''

BAG = '''"""Each utterance alone: one layer on all that was observed."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.params import Section
from pipeline.features.content import UNLABELLED


class Params(Section):
    """Nothing to choose."""

    kind: Literal["bag"] = "bag"


class Output(NamedTuple):
    """What the loss needs."""

    logits: Tensor


class Bag(nn.Module):
    """A layer."""

    def __init__(self, dims, classes):
        super().__init__()
        self.layer = nn.Linear(sum(dims.values()), classes)

    def forward(self, batch):
        """Logits."""
        return Output(self.layer(torch.cat(list(batch.features.values()), dim=-1)))

    def losses(self, output, label):
        """Cross-entropy."""
        loss = F.cross_entropy(output.logits, label, ignore_index=UNLABELLED)
        return {"total": loss, "surprisal": loss}


def build(params, dims, class_counts):
    """A new network."""
    return Bag(dims, len(class_counts))
'''


def test_a_kind_in_one_file_runs_and_every_item_of_the_others_is_found(lab: Clone) -> None:
    lab.run("dvc", "repro", "evaluate@demo")
    (lab.root / "pipeline/encoders/audio/loudness.py").write_text(LOUDNESS, encoding="utf-8")
    (lab.root / "train/networks/bag.py").write_text(BAG, encoding="utf-8")
    printed = lab.run("dvc", "repro", "evaluate@demo")
    # The stages that could use them run, and find all that they have ever made.
    assert stages_run(printed) == ["code", "weights@demo", "audio@demo", "train@demo", "evaluate@demo"]
    assert work_done(printed) == {"audio": "0 of 5"}
    assert "train: 0 of 1 seeds to do, 1 stored" in printed

    lab.edit(
        "params.yaml", "encoder: {kind: opensmile}\n      silence", "encoder: {kind: loudness}\n      silence"
    )
    lab.edit("params.yaml", "network: {kind: multiemo, layers: 2, dropout: 0.0}", "network: {kind: bag}")
    printed = lab.run("dvc", "repro", "evaluate@demo")
    assert work_done(printed) == {"audio": "5 of 5"}
    with h5py.File(lab.root / "data/demo/features.h5") as file:
        assert file["audio/features"].shape == (10, 2)
        assert file["audio/feature_name"].asstr()[()].tolist() == ["rms", "peak"]
    with (lab.root / "data/models/demo/plots/curves.csv").open(encoding="utf-8", newline="") as curves:
        assert next(csv.reader(curves)) == [
            *("seed", "epoch", "train_loss", "train_surprisal", "dev_loss", "dev_weighted_f1")
        ]
    lab.edit("params.yaml", "{kind: loudness}", "{kind: loudness, decibel: true}")
    wrong = "params.yaml: corpora.demo.audio.encoder.decibel: unknown key (did you mean 'decibels'?)"
    assert wrong in lab.run("dvc", "repro", check=False)


def test_with_a_frozen_encoder_a_changed_line_costs_one_dialogue_of_text(lab: Clone, corpus: Path) -> None:
    assert "finetune@demo" not in stages_run(extract(lab))
    table = corpus / "dev_sent_emo.csv"
    head, *rows = csv.reader(table.read_text(encoding="utf-8").splitlines())
    rows[0][head.index("Utterance")] = "Something else altogether."
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    printed = extract(lab)
    # visual asks who speaks, which has not changed.
    assert work_done(printed) == {"visual": "0 of 5", "text": "1 of 5"}
    assert stages_run(printed) == ["manifest@demo", "visual@demo", "finetune@demo", "text@demo"]
