"""``pooling: speaker`` from clips to the report, stage by stage."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.store.h5 import read_h5
from stages.__main__ import main

CORPUS = {
    "format": "table",
    "modalities": ["visual"],
    "max_unobserved": {"text": 0, "audio": 0, "visual": 0},
    "faces": {"min_face_size_px": 40},
    "visual": {
        "encoder": {"kind": "resnet", "weights": "untrained", "architecture": "resnet50"},
        "crop_size_px": 32,
        "pooling": "speaker",
    },
    **{section: {} for section in ("audio", "window", "finetune", "text")},
    "report": {"contact_sheet": True},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, group_root: Path) -> Path:
    """A project whose corpus are three clips: two speakers are seen, one is not."""
    folder = tmp_path_factory.mktemp("project")
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump({"corpora": {"group": CORPUS | {"root": str(group_root)}}}, file)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MULTIEMO_STORE", str(folder / "store"))
        patch.setenv("MULTIEMO_WORKERS", "1")
        # Starting worker processes takes longer than the work.
        patch.setattr("pipeline.work.engine.why_no_workers", lambda: "none for this test")
        for stage in ("manifest", "weights", "faces", "visual", "features", "report"):
            assert main([stage, "group"]) == 0, stage
    return folder


def test_each_utterance_says_by_which_evidence_its_face_counts(project: Path) -> None:
    faces, _ = read_h5(project / "data" / "group" / "faces.h5")
    visual, _ = read_h5(project / "data" / "group" / "visual.h5")
    assert visual["speaker_evidence"].tolist() == ["lips", "lips", "largest"]
    assert len(faces["track"]) == len(faces["speaking"]) == len(faces["box_px"])
    for row, track in enumerate(visual["speaker_track"].tolist()):
        of_track = (faces["face_utterance"] == row) & (faces["track"] == track)
        assert of_track.any()
        score = faces["speaking"][of_track]
        assert (score == score[0]).all()
        assert score[0] == faces["speaking"][faces["face_utterance"] == row].max() or row == 2


def test_the_report_has_the_share_and_the_chosen_faces(project: Path) -> None:
    page = (project / "data" / "group" / "report.html").read_text(encoding="utf-8")
    assert "The speaker was found in 2 of 3 utterances with faces, 66.7 %." in page
    assert re.findall(r'height="\d+">(\w+): (\w+)', page) == [
        ("0_2", "lips"),
        ("1_0", "lips"),
        ("1_2", "largest"),
    ]
    assert page.count("data:image/jpeg") == 3


def test_keys_hold_the_versions_of_what_joins_faces_and_of_what_tells_who_is_who(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def versions(stage: str) -> set[str]:
        _, attrs = read_h5(project / "data" / "group" / f"{stage}.h5")
        return set(json.loads(attrs["provenance"])["versions"])

    assert "scipy" in versions("faces")
    assert not versions("visual") & {"scipy", "scikit-learn"}
    monkeypatch.setattr("pipeline.encoders.visual.resnet.TELLS_PEOPLE_APART", True, raising=False)
    monkeypatch.setattr("pipeline.work.engine.why_no_workers", lambda: "none for this test")
    monkeypatch.setenv("MULTIEMO_STORE", str(project / "store"))
    monkeypatch.setenv("MULTIEMO_WORKERS", "1")
    monkeypatch.chdir(project)
    params = YAML(typ="safe").load(project / "params.yaml")
    params["corpora"]["group"]["visual"]["who_is_who"] = True
    YAML(typ="safe").dump(params, project / "params.yaml")
    assert main(["visual", "group"]) == 0
    assert versions("visual") >= {"scipy", "scikit-learn"}
