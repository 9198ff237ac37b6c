"""A lab's own recordings from table to metrics, stage by stage: shared files, spans, missing labels."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from pipeline.features.file import read_features
from stages.__main__ import main

PROJECT = Path(__file__).parents[2]
STAGES = (
    *("manifest", "weights", "faces", "visual", "audio", "finetune", "text"),
    *("features", "report", "train", "evaluate"),
)
COLUMNS = ("dialogue", "utterance", "speaker", "text", "label", "split", "media", "start_s", "end_s", "crop")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, demo_root: Path) -> Path:
    """Results of a corpus of two training dialogues and one each for dev and test, two lines per clip."""
    project = tmp_path_factory.mktemp("lab")
    root = project / "recordings"
    root.mkdir()
    rows = []
    for dialogue, split in (("monday", "train"), ("tuesday", "train"), ("friday", "dev"), ("sunday", "test")):
        name = f"{dialogue}.mp4"
        shutil.copy(demo_root / "dev_splits_complete" / "dia0_utt0.mp4", root / name)
        rows += [
            (dialogue, 1, "Ann", "What a lovely day!", "joy", split, name, 0, 1, ""),
            (
                dialogue,
                2,
                "Bob",
                "I hate this.",
                "" if dialogue == "tuesday" else "anger",
                split,
                name,
                1,
                1.8,
                "left",
            ),
        ]
    rows.append(("sunday", 3, "Ann", "Gone.", "joy", "test", "nowhere.mp4", "", "", ""))
    with (root / "annotations.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    yaml = YAML(typ="safe")
    params = yaml.load(PROJECT / "params.yaml")
    demo = params["corpora"]["demo"]
    demo |= {"format": "table", "root": str(root), "report": {"contact_sheet": True}}
    demo["max_unobserved"] = {"text": 0, "audio": 1, "visual": 1}
    demo["finetune"]["epochs"] = 1
    demo["visual"]["crop_size_px"] = 64
    params["models"]["demo"]["epochs"] = 2
    with (project / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(params, file)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.setenv("MULTIEMO_STORE", str(project / "store"))
        patch.setenv("MULTIEMO_WORKERS", "1")
        for stage in STAGES:
            assert main([stage, "demo"]) == 0, stage
    return project / "data"


def test_every_row_of_the_table_has_its_features(data: Path) -> None:
    features = read_features(data / "demo" / "features.h5")
    assert features.id.tolist() == [
        "monday_1", "monday_2", "tuesday_1", "tuesday_2",
        "friday_1", "friday_2", "sunday_1", "sunday_2", "sunday_3",
    ]  # fmt: skip
    assert features.label_names == ("anger", "joy")
    assert features.label.tolist() == [1, 0, 1, -1, 1, 0, 1, 0, 1]
    np.testing.assert_array_equal(features.start_s[:2], [0, 1])
    assert features.modalities["text"].observed.all()
    assert features.modalities["audio"].reason.tolist() == [""] * 8 + ["clip missing"]


def test_utterances_of_one_file_differ_and_copies_of_a_file_agree(data: Path) -> None:
    audio = read_features(data / "demo" / "features.h5").modalities["audio"].features
    assert not np.array_equal(audio[0], audio[1])
    np.testing.assert_array_equal(audio[0], audio[2])


def test_unlabelled_utterances_are_left_out_of_training_and_evaluation(data: Path) -> None:
    summary = json.loads((data / "demo" / "manifest.json").read_text(encoding="utf-8"))
    assert summary["classes"]["train"] == {"(unlabelled)": 1, "anger": 1, "joy": 2}
    with (data / "models" / "demo" / "predictions.csv").open(encoding="utf-8", newline="") as file:
        assert {row["id"] for row in csv.DictReader(file)} == {
            "friday_1", "friday_2", "sunday_1", "sunday_2", "sunday_3",
        }  # fmt: skip
    metrics = json.loads((data / "models" / "demo" / "metrics.json").read_text(encoding="utf-8"))
    assert set(metrics["test"]["f1"]) == {"anger", "joy"}


def test_the_report_shows_the_faces_that_were_asked_for(data: Path) -> None:
    page = (data / "demo" / "report.html").read_text(encoding="utf-8")
    shown = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)" alt="Face found in (\w+)"', page)
    seen = read_features(data / "demo" / "features.h5")
    observed = seen.id[seen.modalities["visual"].observed].tolist()
    assert [utterance for _, utterance in shown] == observed
    for picture, _ in shown:
        assert Image.open(io.BytesIO(base64.b64decode(picture))).size == (64, 64)
    assert "clip missing" in page
