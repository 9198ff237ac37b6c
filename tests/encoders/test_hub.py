"""Downloads from a hub, which runs on this machine and answers what huggingface_hub asks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.store.code import PROJECT
from tests.encoders.small_hub import CONVERTED, MAIN, SmallHub, conversion, serving

WEIGHTS = {"config.json": b"{}", "model.safetensors": b"weights"}
BESIDE = {
    "model.fp32-00001-of-00002.safetensors": b"a copy", "onnx/config.json": b"{}", "model.onnx": b"another",
    "pytorch_model.bin": b"a pickle",
}  # fmt: skip


@pytest.fixture
def hub() -> Iterator[SmallHub]:
    """A model as it should be, and one whose safetensors are in a pull request only."""
    old = {"config.json": b"{}", "pytorch_model.bin": b"a pickle"}
    models = {
        "lab/new": {MAIN: {**WEIGHTS, **BESIDE, "README.md": b"---\nlicense: mit\n---\n"}},
        "lab/old": {MAIN: old, CONVERTED: {**old, "model.safetensors": b"weights"}},
    }
    with serving(SmallHub(models, conversions=[conversion(9, "somebody"), conversion(7)])) as hub:
        yield hub


def run(
    hub: SmallHub, folder: Path, weights: str, *command: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """A command in a project whose text encoder has these weights."""
    params = (PROJECT / "params.yaml").read_text(encoding="utf-8")
    text = "kind: transformers\n        weights: "
    (folder / "params.yaml").write_text(params.replace(f"{text}untrained", text + weights), encoding="utf-8")
    environment = os.environ | {
        "PYTHONPATH": str(PROJECT), "HF_ENDPOINT": hub.endpoint, "HF_HUB_CACHE": str(folder / "cache"),
        "MULTIEMO_STORE": str(folder / "store"), "HF_HUB_DISABLE_XET": "1",
    }  # fmt: skip
    environment.pop("HF_HUB_OFFLINE", None)
    environment |= variables
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, text=True, capture_output=True,
        check=False,
    )  # fmt: skip


def test_the_stage_downloads_what_makes_the_model_once_and_shows_how_far_it_is(
    hub: SmallHub, tmp_path: Path
) -> None:
    done = run(hub, tmp_path, "lab/new", "stages", "weights", "demo")
    assert done.returncode == 0, done.stderr
    assert f"weights: text: lab/new at commit {MAIN}, licence mit\n" in done.stdout
    assert "Fetching 3 files: 100%" in done.stderr
    pinned = json.loads((tmp_path / "data/demo/weights.json").read_text())
    assert list(pinned["text"]["digest"]) == ["config.json", "model.safetensors"]
    assert pinned["text"]["licence"] == "mit"
    snapshot = tmp_path / "cache/models--lab--new/snapshots" / MAIN
    assert {path.name for path in snapshot.iterdir()} == {*WEIGHTS, "README.md"}
    hub.asked.clear()
    copy = "model.fp32-00001-of-00002.safetensors"  # what else lies in the cache is no part of the model
    (snapshot / copy).write_bytes(BESIDE[copy])
    assert run(hub, tmp_path, "lab/new", "stages", "weights", "demo").returncode == 0
    assert json.loads((tmp_path / "data/demo/weights.json").read_text()) == pinned
    assert not [path for path in hub.asked if "lab" in path]


def test_a_copied_cache_serves_without_a_network_and_lacks_what_it_lacks(
    hub: SmallHub, tmp_path: Path
) -> None:
    run(hub, tmp_path, "lab/new", "stages", "weights", "demo")
    snapshot = tmp_path / "cache/models--lab--new/snapshots" / MAIN
    hub.asked.clear()
    (snapshot / "README.md").unlink()
    offline = run(hub, tmp_path, "lab/new", "stages", "weights", "demo", HF_HUB_OFFLINE="1")
    assert offline.returncode == 0, offline.stderr
    (snapshot / "model.safetensors").unlink()
    refused = run(hub, tmp_path, "lab/new", "stages", "weights", "demo", HF_HUB_OFFLINE="1")
    assert "lab/new at revision" in refused.stderr
    assert "is not in the local cache of the hub" in refused.stderr
    assert not [path for path in hub.asked if "lab" in path]


def test_a_model_without_safetensors_is_an_error_that_says_what_looks_for_them(
    hub: SmallHub, tmp_path: Path
) -> None:
    refused = run(hub, tmp_path, "lab/old", "stages", "weights", "demo")
    assert refused.returncode == 1
    assert "corpora.demo.text.encoder: lab/old has no .safetensors weights at " in refused.stderr
    assert "`multiemo fetch demo` looks whether" in refused.stderr


def test_fetch_finds_the_hubs_own_conversion_and_prints_the_revision_to_write(
    hub: SmallHub, tmp_path: Path
) -> None:
    found = run(hub, tmp_path, "lab/old", "pipeline.console", "fetch", "demo")
    assert found.returncode == 1, found.stderr
    assert "corpora.demo.audio.encoder: needs no weights\n" in found.stdout
    assert f"; write there\nrevision: {CONVERTED}\n" in found.stdout
    assert (tmp_path / "cache/models--lab--old/snapshots" / CONVERTED / "model.safetensors").exists()

    pinned = f"lab/old\n        revision: {CONVERTED}"
    fetched = run(hub, tmp_path, pinned, "pipeline.console", "fetch", "demo")
    assert fetched.returncode == 0, fetched.stderr
    snapshot = tmp_path / "cache/models--lab--old"
    assert (
        f"corpora.demo.text.encoder: lab/old at commit {CONVERTED}, 0.0 MB, licence not told"
        in fetched.stdout
    )
    assert f"rsync -a {snapshot} MACHINE:.cache/huggingface/hub/" in fetched.stdout


def test_fetch_says_where_no_conversion_is_offered(hub: SmallHub, tmp_path: Path) -> None:
    hub.conversions.pop()  # what somebody else called so is none
    refused = run(hub, tmp_path, "lab/old", "pipeline.console", "fetch")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].endswith(": it offers none")
