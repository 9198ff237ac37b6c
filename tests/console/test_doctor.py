"""``multiemo doctor``: what it says of a corpus that can be extracted, and of one that cannot."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.console import doctor
from pipeline.console.__main__ import main
from pipeline.encoders.weights import find_local, model_files
from pipeline.store.code import PROJECT
from tests.encoders.texts import save_untrained


@pytest.fixture
def project(tmp_path: Path, demo_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose demo corpus is there already."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MULTIEMO_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("MULTIEMO_WORKERS", "2")
    monkeypatch.setenv("MULTIEMO_DEVICE", "cpu")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    text = (PROJECT / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("data/raw/demo", str(demo_root)).replace("audio: 0.1", "audio: 0.3")
    Path("params.yaml").write_text(text.replace("kind: resnet,", "kind: resnet, architecture: resnet50,"))
    return tmp_path


def findings(capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    """Whether it is there, and the rest, by subject; by its place in the line."""
    lines = capsys.readouterr().out.splitlines()
    return {line[8:22].strip(): [line[:8].strip(), line[23:]] for line in lines}


def test_a_corpus_that_can_be_extracted_is_told_with_hours(project: Path, demo_root: Path, capsys) -> None:
    assert main(["doctor", "demo"]) == 0
    found = findings(capsys)
    assert {state for state, _ in found.values()} == {"ok"}
    encoders = ["text encoder", "audio encoder", "visual encoder"]
    stages = ["faces", "visual", "audio", "text", "finetune"]
    assert list(found) == ["annotations", "media", *encoders, "device", "store", "outputs", *stages]
    assert found["annotations"][1] == f"10 utterances in {demo_root}"
    assert found["media"][1] == "of 9 utterances, 1 have none"
    assert found["device"][1] == "cpu, 2 workers"
    for stage in stages:
        assert re.search(r": about \d+ s in all$", found[stage][1])
    assert found["text"][1].partition(" s for ")[2].startswith("an utterance of train_dia")
    assert found["finetune"][1].startswith("3 epochs of 6 utterances, at 3 times text's time: ")
    assert not (project / "data").exists()


def test_the_demo_before_its_first_run_lacks_nothing(project: Path, demo_root: Path, capsys) -> None:
    """Its annotations are made by the run itself."""
    text = Path("params.yaml").read_text().replace(str(demo_root), "data/raw/demo")
    Path("params.yaml").write_text(text)
    assert main(["doctor", "demo"]) == 0
    found = findings(capsys)
    assert {state for state, _ in found.values()} == {"ok"}
    assert found["annotations"][1].startswith("none yet: the first run makes")
    assert "media" not in found


def test_absent_media_are_held_against_the_limits_of_the_modalities_that_need_them(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        Path("params.yaml").read_text().replace("[text, audio, visual]\n    max_", "[MODALITIES]\n    max_")
    )
    text = text.replace("{text: 0.05, audio: 0.3, visual: 0.1}", "{text: 0, audio: AUDIO, visual: 0.05}", 1)
    assert "AUDIO" in text
    for modalities, audio, state in [
        ("text, visual", "0.3", "MISSING"),
        ("text, audio", "0.3", "ok"),
        ("text, audio, visual", "0.3", "MISSING"),
    ]:
        Path("params.yaml").write_text(text.replace("MODALITIES", modalities).replace("AUDIO", audio))
        main(["doctor", "demo"])
        assert findings(capsys)["media"][0] == state, modalities


def test_a_stage_that_will_not_run_is_told_before_it_does(project: Path, capsys) -> None:
    text = Path("params.yaml").read_text().replace("[text, audio, visual]\n    max_", "[text]\n    max_")
    text = text.replace("    text:\n", "    text:\n      layers: [3]\n")
    Path("params.yaml").write_text(text)
    assert main(["doctor", "demo"]) == 1
    state, words = findings(capsys)["text"]
    assert state == "MISSING"
    assert words == "text.layers: there is no layer 3; RobertaModel has 2"


def test_clips_that_cannot_be_read_are_lines_among_the_others(
    project: Path, demo_root: Path, tmp_path: Path, capsys
) -> None:
    root = tmp_path / "raw"
    shutil.copytree(demo_root, root)
    for clip in root.rglob("*.mp4"):
        clip.unlink()
        clip.symlink_to("/proc/self/mem")  # can be opened and not read, as what a broken disk holds
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace(str(demo_root), str(root)))
    assert main(["doctor", "demo"]) == 1
    found = findings(capsys)
    for stage in ("faces", "audio"):
        assert found[stage][0] == "MISSING"
        assert "Input/output error" in found[stage][1]
    assert "visual" not in found
    assert found["text"][0] == "ok"


def test_disk_is_told_apart_by_what_needs_it(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Checkpoints of a large encoder take more than the features of a corpus."""
    encoder = save_untrained(project / "encoder")
    mb = sum(file.stat().st_size for file in model_files(encoder)) / 1e6
    pinned = f"weights: {encoder}\n        sha256: {find_local('text', str(encoder)).sha256()}\n"
    text = Path("params.yaml").read_text().replace("[text, audio, visual]\n    max_", "[text]\n    max_")
    Path("params.yaml").write_text(text.replace("weights: untrained\n", pinned))
    free = shutil.disk_usage(project)._replace(free=round(mb * 8e6))
    monkeypatch.setattr(doctor, "GENEROUS_DIMENSIONS", 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    assert main(["doctor", "demo"]) == 1
    found = findings(capsys)
    assert {subject for subject, (state, _) in found.items() if state == "MISSING"} == {"checkpoints"}
    assert found["outputs"][1].endswith(" GB are needed for features")
    assert found["checkpoints"][1].endswith(" GB are needed for fine-tuning")
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("epochs: 3", "epochs: 0", 1))
    assert main(["doctor", "demo"]) == 0
    assert "checkpoints" not in findings(capsys)


def test_params_that_contradict_each_other_are_a_line_among_the_others(project: Path, capsys) -> None:
    text = Path("params.yaml").read_text()
    scene = "{kind: scene, weights: absent.pth}\n      pooling: frames"
    text = text.replace("{kind: resnet, architecture: resnet50, weights: untrained}", scene)
    Path("params.yaml").write_text(text)
    assert main(["doctor", "demo"]) == 1
    found = findings(capsys)
    assert found["faces"][0] == "MISSING"
    assert "corpora.demo.visual.pooling is of faces" in found["faces"][1]
    assert found["text"][0] == "ok"


def test_a_commit_of_an_old_cache_is_looked_at_and_not_remembered(project: Path, capsys) -> None:
    """Else the first run would keep to it, wherever the branch has gone since."""
    snapshot = project / "hub/models--lab--roberta/snapshots" / ("a" * 40)
    save_untrained(snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs/main").write_text("a" * 40)
    text = Path("params.yaml").read_text()
    text = text.replace("        weights: untrained\n", "        weights: lab/roberta\n")
    Path("params.yaml").write_text(text.replace("[text, audio, visual]\n    max_", "[text]\n    max_"))
    environment = os.environ | {"HF_HUB_CACHE": str(project / "hub"), "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "pipeline.console", "doctor", "demo"]
    told = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
    assert "ok      text encoder   roberta from lab/roberta\n" in told.stdout
    assert told.returncode == 0
    assert not (project / "store").exists()


def test_what_is_missing_is_named_and_nothing_is_downloaded(project: Path, demo_root: Path, capsys) -> None:
    text = Path("params.yaml").read_text()
    text = text.replace("        weights: untrained\n", "        weights: lab/roberta\n")
    text = text.replace("[text, audio, visual]\n    max_", "[text]\n    max_")
    Path("params.yaml").write_text(text.replace(str(demo_root), "nowhere"))
    assert main(["doctor", "demo"]) == 1
    found = findings(capsys)
    assert found["annotations"][0] == found["text encoder"][0] == "MISSING"
    assert "nowhere" in found["annotations"][1]
    assert found["text encoder"][1].startswith("lab/roberta is not in the local cache of the hub; where")
    assert "`multiemo fetch demo`" in found["text encoder"][1]
