"""Only what changed is computed again, and the result is that of a run from scratch."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.h5 import read_h5
from tests.e2e.lab import TARGETS, LabClone, copy_corpus, lab_clone, stages_run, work_done

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def lab(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> LabClone:
    """A clone that has extracted its corpus, which lies beside it; tests put back what they change."""
    folder = tmp_path_factory.mktemp("incremental")
    corpus = copy_corpus(demo_root, folder / "corpus")
    clone = lab_clone(folder / "clone", corpus, folder / "store", MULTIEMO_WORKERS="1")
    assert set(work_done(clone.extract()).values()) == {"5 of 5"}
    return clone


@pytest.fixture
def corpus(lab: LabClone, demo_root: Path) -> Iterator[Path]:
    folder = lab.root.parent / "corpus"
    yield folder
    shutil.rmtree(folder)
    copy_corpus(demo_root, folder)


@pytest.fixture(autouse=True)
def put_back(lab: LabClone) -> Iterator[None]:
    yield
    lab.run("git", "checkout", "--quiet", "params.yaml", "stages")


def test_nothing_is_done_twice(lab: LabClone) -> None:
    assert stages_run(lab.extract()) == []


def test_a_changed_clip_costs_its_dialogue_and_the_result_is_that_of_a_run_from_scratch(
    lab: LabClone, corpus: Path, tmp_path: Path
) -> None:
    clips = corpus / "dev_splits_complete"
    shutil.copy(clips / "dia0_utt1.mp4", clips / "dia0_utt0.mp4")
    printed = lab.extract()
    assert stages_run(printed) == ["manifest@demo", "faces@demo", "visual@demo", "audio@demo"]
    assert work_done(printed) == dict.fromkeys(("faces", "visual", "audio"), "1 of 5")
    assert "faces: 1 of 5 dialogues to do, 4 stored" in printed
    scratch = lab_clone(tmp_path / "clone", corpus, tmp_path / "store")
    assert set(work_done(scratch.extract()).values()) == {"5 of 5"}
    assert scratch.outputs() == lab.outputs()


def test_a_deleted_dialogue_leaves_nothing_behind_and_an_added_one_costs_itself(
    lab: LabClone, corpus: Path
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


def test_a_param_flipped_and_flipped_back_costs_nothing_the_second_time(lab: LabClone) -> None:
    lab.run("dvc", "repro", "audio@demo")
    before = lab.outputs()
    lab.edit("params.yaml", "silence_dbfs: -70.0", "silence_dbfs: -69.0")
    assert work_done(lab.run("dvc", "repro", "audio@demo")) == {"audio": "5 of 5"}
    lab.edit("params.yaml", "silence_dbfs: -69.0", "silence_dbfs: -70.0")
    assert stages_run(lab.run("dvc", "repro", "audio@demo")) == []
    # Neither does it without DVC's memory of runs.
    assert work_done(lab.run("dvc", "repro", "--force", "--single-item", "audio@demo")) == {"audio": "0 of 5"}
    assert lab.outputs() == before


def test_a_comment_costs_nothing_and_a_constant_costs_the_stage(lab: LabClone) -> None:
    lab.edit(
        "stages/audio.py", '    """Features and reasons', '    # Words.\n    """The features and reasons'
    )
    assert work_done(lab.run("dvc", "repro", "audio@demo")) == {"audio": "0 of 5"}
    lab.edit("stages/audio.py", "silence_dbfs / 20)", "silence_dbfs / 21)")
    assert work_done(lab.run("dvc", "repro", "audio@demo")) == {"audio": "5 of 5"}


def test_with_a_frozen_encoder_a_changed_line_costs_one_dialogue_of_text(lab: LabClone, corpus: Path) -> None:
    lab.edit("params.yaml", "epochs: 1\n", "epochs: 0\n")
    assert work_done(lab.run("dvc", "repro", *TARGETS)) == {"text": "5 of 5"}
    table = corpus / "dev_sent_emo.csv"
    head, *rows = csv.reader(table.read_text(encoding="utf-8").splitlines())
    rows[0][head.index("Utterance")] = "Something else altogether."
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    printed = lab.extract()
    assert work_done(printed) == {"text": "1 of 5"}
    assert stages_run(printed) == ["manifest@demo", "finetune@demo", "text@demo"]
