"""``multiemo pin``: what it writes into params.yaml, and that the run needs it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.console.pin import write_pins
from pipeline.errors import UserError

PROJECT = Path(__file__).parents[2]
PARAMS = """# A corpus of ours.
corpora:
  lab:
    format: table # the lab's own
    root: raw
    modalities: [text, visual]
    max_unobserved: {text: 0.0, audio: 0.0, visual: 0.0}
    faces: {}
    visual:
      encoder: {kind: resnet, weights: faces.safetensors} # by a colleague
    audio: {}
    window: {} # all defaults
    finetune: {}
    text:
      encoder:
        kind: transformers
        weights: lab/roberta
        # the newest
        revision: main
    report: {}
"""
HEADER = "dialogue,utterance,speaker,text,label,split,media"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with params.yaml, weights, and a hub's local cache."""
    (tmp_path / "params.yaml").write_text(PARAMS, encoding="utf-8")
    (tmp_path / "faces.safetensors").write_bytes(b"weights")
    model = tmp_path / "hub" / "models--lab--roberta"
    (model / "refs").mkdir(parents=True)
    move_branch(tmp_path, "a" * 40)
    return tmp_path


def move_branch(project: Path, commit: str) -> None:
    """The hub's branch leads to another commit, which is in the local cache."""
    model = project / "hub" / "models--lab--roberta"
    (model / "refs" / "main").write_text(commit)
    snapshot = model / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot / "model.safetensors").write_text(commit)


def run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": str(PROJECT),
        "HF_HUB_CACHE": str(project / "hub"),
        "HF_HUB_OFFLINE": "1",
        "MULTIEMO_STORE": str(project / "store"),
    }
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )


def pin(project: Path, *entries: str) -> subprocess.CompletedProcess[str]:
    return run(project, "pipeline.console", "pin", *entries)


def test_weights_by_path_need_their_digest_and_pin_writes_it_among_the_comments(project: Path) -> None:
    refused = run(project, "stages", "weights", "lab")
    assert refused.returncode == 1
    digest = hashlib.sha256(b"weights").hexdigest()
    assert "corpora.lab.visual.encoder.sha256: missing" in refused.stderr
    assert refused.stderr.endswith(f"\nsha256: {digest}\n")

    assert pin(project).returncode == 0
    text = (project / "params.yaml").read_text(encoding="utf-8")
    pinned = PARAMS.replace("faces.safetensors}", f"faces.safetensors, sha256: {digest}}}")
    assert text == pinned.replace("revision: main", f"revision: {'a' * 40}")
    assert run(project, "stages", "weights", "lab").returncode == 0
    again = pin(project, "lab")
    assert "params.yaml: 0 pinned, 2 as they were" in again.stdout
    assert (project / "params.yaml").read_text(encoding="utf-8") == text


def test_replaced_weights_stop_the_run_until_they_are_pinned_anew(project: Path) -> None:
    pin(project)
    (project / "faces.safetensors").write_bytes(b"other weights")
    refused = run(project, "stages", "weights", "lab")
    assert refused.returncode == 1
    assert "corpora.lab.visual.encoder.sha256: " in refused.stderr
    assert "has the SHA-256" in refused.stderr
    pinned = pin(project)
    assert "corpora.lab.visual.encoder.sha256: " in pinned.stdout
    assert "(was " in pinned.stdout
    assert run(project, "stages", "weights", "lab").returncode == 0


def test_a_branch_that_moves_changes_nothing_until_it_is_pinned(project: Path) -> None:
    text = PARAMS.replace("[text, visual]", "[text]")
    (project / "params.yaml").write_text(text, encoding="utf-8")
    first = run(project, "stages", "weights", "lab")
    assert f"lab/roberta at commit {'a' * 40}" in first.stdout, first.stderr
    told = (project / "data/lab/weights.json").read_bytes()
    move_branch(project, "b" * 40)
    assert run(project, "stages", "weights", "lab").returncode == 0
    assert (project / "data/lab/weights.json").read_bytes() == told
    assert pin(project).returncode == 0
    assert f"revision: {'b' * 40}" in (project / "params.yaml").read_text(encoding="utf-8")
    assert f"at commit {'b' * 40}" in run(project, "stages", "weights", "lab").stdout


def test_media_outside_of_the_root_need_a_digest_which_pin_writes(project: Path) -> None:
    form = "format: {kind: table, outside_media: true} # the lab's own"
    text = PARAMS.replace("format: table # the lab's own", form).replace("[text, visual]", "[audio]")
    text = text.replace("audio: {}", "audio: {encoder: {kind: opensmile}}").replace(
        "audio: 0.0", "audio: 1.0"
    )
    (project / "params.yaml").write_text(text, encoding="utf-8")
    (project / "raw").mkdir()
    (project / "outside.wav").write_bytes(b"no sound")
    rows = [f"d1,1,Ann,Hello.,joy,{split},../outside.wav" for split in ("train",)]
    (project / "raw/annotations.csv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    refused = run(project, "stages", "manifest", "lab")
    assert refused.returncode == 1
    assert (
        "corpora.lab.format.outside_sha256: missing; 1 media files lie outside of the root" in refused.stderr
    )
    assert pin(project).returncode == 0
    accepted = run(project, "stages", "manifest", "lab")
    assert accepted.returncode == 0, accepted.stderr
    (project / "outside.wav").write_bytes(b"other sound")
    assert "is not that of the files now" in run(project, "stages", "manifest", "lab").stderr


def test_an_entry_that_is_not_there_and_weights_that_cannot_be_had_are_one_line_each(project: Path) -> None:
    wrong = pin(project, "labb")
    assert wrong.returncode == 1
    assert "no 'labb' under 'corpora' (there are: lab;" in wrong.stderr
    (project / "faces.safetensors").unlink()
    missing = pin(project)
    assert missing.returncode == 1
    assert "corpora.lab.visual.encoder: no weights file faces.safetensors" in missing.stderr
    assert "Traceback" not in missing.stderr
    assert f"revision: {'a' * 40}" in (project / "params.yaml").read_text(encoding="utf-8")


def test_links_that_lead_out_of_any_formats_root_are_pinned_too(project: Path) -> None:
    text = PARAMS.replace("[text, visual]", "[audio]").replace("format: table #", "format: meld #")
    text = text.replace("audio: {}", "audio: {encoder: {kind: opensmile}}").replace(
        "audio: 0.0", "audio: 1.0"
    )
    (project / "params.yaml").write_text(text, encoding="utf-8")
    (project / "clips").mkdir()
    (project / "raw").mkdir()
    (project / "clips/dia0_utt0.mp4").write_bytes(b"a clip")
    header = "Sr No.,Utterance,Speaker,Emotion,Dialogue_ID,Utterance_ID"
    for split in ("train", "dev", "test"):
        table = f"{header}\n1,Hi.,Ann,joy,0,0\n"
        (project / f"raw/{split}_sent_emo.csv").write_text(table, encoding="utf-8")
    (project / "raw/train_splits").symlink_to(project / "clips")
    refused = run(project, "stages", "manifest", "lab")
    assert "corpora.lab.format.outside_sha256: missing; 1 media files lie outside" in refused.stderr
    assert pin(project).returncode == 0
    assert "\n      kind: meld\n" in (project / "params.yaml").read_text(encoding="utf-8")
    accepted = run(project, "stages", "manifest", "lab")
    assert accepted.returncode == 0, accepted.stderr
    assert "3 utterances" in accepted.stdout


def test_two_values_for_one_block_that_an_alias_shares_are_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / "params.yaml"
    text = "corpora:\n  a:\n    format: &one {kind: table}\n  b:\n    format: *one\n  c:\n    format: table\n"
    path.write_text(text, encoding="utf-8")
    keys = {name: ("corpora", name, "format", "outside_sha256") for name in "abc"}
    with pytest.raises(
        UserError, match=r"corpora\.a\.format and corpora\.b\.format are one block by an alias"
    ):
        write_pins(path, {keys["c"]: "3", keys["a"]: "1", keys["b"]: "2"})
    assert path.read_text(encoding="utf-8") == text
    assert write_pins(path, {keys["a"]: "1", keys["b"]: "1"}) == {keys["a"]: ""}
    assert "format: &one {kind: table, outside_sha256: '1'}" in path.read_text(encoding="utf-8")
