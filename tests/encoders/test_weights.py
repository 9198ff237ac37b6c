"""Weights by path and by hub id; the hub is switched off, and what lies in its local cache is found."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.encoders.weights import Weights, find_local, find_pinned, pin_weights, write_pinned
from pipeline.errors import UserError
from pipeline.params import WeightsParams
from pipeline.store.code import PROJECT

KEY = "corpora.demo.text.encoder"
OLD, NEW, TAGGED = ("a" * 40, "b" * 40, "c" * 40)
PIN = """
import json, sys
from pipeline.encoders.weights import pin_weights
from pipeline.errors import UserError
from pipeline.params import WeightsParams
try:
    pinned = pin_weights("corpora.demo.text.encoder", WeightsParams(**json.loads(sys.argv[1])))
    print(pinned.commit, pinned.digest["model.safetensors"])
except UserError as error:
    sys.exit(str(error))
"""


def sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def pin(path: Path, digest: str | None = None) -> Weights:
    return pin_weights(KEY, WeightsParams(weights=str(path), sha256=digest))


def digest_to_paste(path: Path) -> str:
    """What the error of weights without a digest tells to write."""
    with pytest.raises(UserError) as stopped:
        pin(path)
    said, line = str(stopped.value).splitlines()
    assert said.startswith(f"{KEY}.sha256: missing")
    assert "`multiemo pin` writes it" in said
    found = re.fullmatch(r"sha256: ([0-9a-f]{64})", line)
    assert found
    return found[1]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "faces.safetensors"
    path.write_text("weights")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model as transformers writes it."""
    path = tmp_path / "roberta"
    path.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "merges.txt"):
        (path / name).write_text(name)
    return path


def test_a_file_without_its_digest_stops_with_the_line_to_paste(file: Path) -> None:
    assert digest_to_paste(file) == sha256("weights")
    assert pin(file, sha256("weights")).path == file


def test_a_folder_without_its_digest_stops_with_the_line_to_paste(folder: Path) -> None:
    names = ("config.json", "merges.txt", "model.safetensors", "tokenizer.json")
    lines = "".join(f"{sha256(name)}  {name}\n" for name in names)  # as sha256sum prints them
    assert digest_to_paste(folder) == sha256(lines)
    assert pin(folder, sha256(lines)).digest == {name: sha256(name) for name in names}


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "merges.txt"])
def test_the_digest_of_a_folder_covers_all_that_makes_the_model(folder: Path, name: str) -> None:
    before = find_local(KEY, str(folder)).sha256()
    (folder / name).write_text("changed")
    assert find_local(KEY, str(folder)).sha256() != before
    (folder / name).write_text(name)
    assert find_local(KEY, str(folder)).sha256() == before


def test_what_is_said_of_a_model_is_no_part_of_its_digest(folder: Path) -> None:
    before = find_local(KEY, str(folder)).sha256()
    for name in ("README.md", "origin.json"):
        (folder / name).write_text("words")
    assert find_local(KEY, str(folder)).sha256() == before


def test_a_path_has_no_revision(folder: Path) -> None:
    params = WeightsParams(weights=str(folder), revision="main", sha256=find_local(KEY, str(folder)).sha256())
    with pytest.raises(UserError, match=rf"^{KEY}\.revision: is of hub models, and .*roberta is a path"):
        pin_weights(KEY, params)


@pytest.mark.parametrize(
    "card", ["---\nlicense: [mit\n---\n", "---\n- mit\n---\n", "---\n--- \x00\n", "\xff"]
)
def test_a_card_that_cannot_be_read_tells_no_licence(folder: Path, card: str) -> None:
    (folder / "README.md").write_text(card, encoding="latin-1")
    assert find_local(KEY, str(folder)).licence == ""


def test_weights_that_are_not_those_meant_are_refused_with_both_digests(file: Path) -> None:
    message = rf"{KEY}\.sha256: .*faces\.safetensors has the SHA-256 {sha256('weights')}, and not {'0' * 64};"
    with pytest.raises(UserError, match=message):
        pin(file, "0" * 64)


@pytest.mark.parametrize("name", ["faces.safetensors", "roberta"])
def test_weights_replaced_since_they_were_pinned_are_refused(
    tmp_path: Path, file: Path, folder: Path, name: str
) -> None:
    weights, pinned = tmp_path / name, tmp_path / "weights.json"
    params = WeightsParams(weights=str(weights), sha256=find_local(KEY, str(weights)).sha256())
    write_pinned(pinned, {"text": pin_weights(KEY, params)})
    assert find_pinned(pinned, "text", KEY, params) == find_local(KEY, str(weights))
    replaced = weights if weights.is_file() else weights / "tokenizer.json"
    replaced.write_text("other")
    with pytest.raises(UserError, match=rf"{KEY}: .*{name} has changed since .*weights\.json was written"):
        find_pinned(pinned, "text", KEY, params)


def test_a_file_that_is_gone_from_a_pinned_folder_is_refused(tmp_path: Path, folder: Path) -> None:
    params = WeightsParams(weights=str(folder), sha256=find_local(KEY, str(folder)).sha256())
    write_pinned(tmp_path / "weights.json", {"text": pin_weights(KEY, params)})
    (folder / "merges.txt").unlink()
    with pytest.raises(UserError, match=r"roberta has changed since .* \(files are gone\)"):
        find_pinned(tmp_path / "weights.json", "text", KEY, params)


def test_untrained_weights_need_no_pin(tmp_path: Path) -> None:
    params = WeightsParams(weights="untrained")
    assert find_pinned(tmp_path / "weights.json", "text", KEY, params) is None


def test_weights_that_were_never_pinned_are_an_error_that_says_what_to_run(
    tmp_path: Path, file: Path
) -> None:
    params = WeightsParams(weights=str(file), sha256=sha256("weights"))
    with pytest.raises(UserError, match=r"weights\.json not found: run dvc repro"):
        find_pinned(tmp_path / "weights.json", "text", KEY, params)


@pytest.mark.parametrize("name", ["absent.safetensors", "no_such_folder", "models/a/b"])
def test_weights_that_are_not_there_are_an_error_that_names_key_and_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=rf"{KEY}: no (weights file|model folder) .*{name}"):
        pin(tmp_path / name)


@pytest.mark.parametrize(
    ("gone", "complaint"),
    [("config.json", "holds no config.json"), ("model.safetensors", "holds no .safetensors weights")],
)
def test_a_folder_that_is_no_model_is_an_error(folder: Path, gone: str, complaint: str) -> None:
    (folder / gone).unlink()
    with pytest.raises(UserError, match=f"{KEY}: .*roberta {complaint}"):
        pin(folder)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The hub's cache as huggingface_hub lays it out: one model, a branch, a tag, three commits."""
    root = tmp_path / "hub"
    model = root / "models--lab--roberta"
    (model / "refs").mkdir(parents=True)
    for commit in (OLD, NEW, TAGGED):
        snapshot = model / "snapshots" / commit
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text("{}")
        (snapshot / "model.safetensors").write_text(commit)
    (model / "refs" / "v2").write_text(TAGGED)
    lead_main_to(root, OLD)
    return root


def lead_main_to(cache: Path, commit: str) -> None:
    """Where the branch main leads, as the cache knows it."""
    (cache / "models--lab--roberta" / "refs" / "main").write_text(commit)


def offline(cache: Path, store: str = "store") -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(PROJECT), "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1",
        "MULTIEMO_STORE": str(cache.parent / store),
    }  # fmt: skip


def pin_hub(cache: Path, weights: str, store: str = "store", **params: str) -> subprocess.CompletedProcess:
    """Commit and digest, printed, or an error."""
    command = [sys.executable, "-c", PIN, json.dumps({"weights": weights, **params})]
    return subprocess.run(command, env=offline(cache, store), text=True, capture_output=True, check=False)


def test_each_revision_has_its_own_weights(cache: Path) -> None:
    for revision, commit in (({}, OLD), ({"revision": "v2"}, TAGGED), ({"revision": NEW}, NEW)):
        assert pin_hub(cache, "lab/roberta", **revision).stdout.split() == [commit, sha256(commit)]


def test_a_branch_is_asked_once_and_its_commit_kept_to(cache: Path) -> None:
    assert pin_hub(cache, "lab/roberta").stdout.split()[0] == OLD
    lead_main_to(cache, NEW)
    assert pin_hub(cache, "lab/roberta").stdout.split() == [OLD, sha256(OLD)]
    assert pin_hub(cache, "lab/roberta", store="another").stdout.split()[0] == NEW


def test_two_clones_with_one_store_keep_to_one_commit(cache: Path, tmp_path: Path) -> None:
    pinned = []
    for clone, commit in (("first", OLD), ("second", NEW)):
        lead_main_to(cache, commit)
        (tmp_path / clone).mkdir()
        params = (PROJECT / "params.yaml").read_text(encoding="utf-8")
        text = "kind: transformers\n        weights: "
        assert f"{text}untrained" in params
        params = params.replace(f"{text}untrained", f"{text}lab/roberta")
        (tmp_path / clone / "params.yaml").write_text(params, encoding="utf-8")
        command = [sys.executable, "-m", "stages", "weights", "demo"]
        subprocess.run(command, cwd=tmp_path / clone, env=offline(cache), check=True, capture_output=True)
        pinned.append((tmp_path / clone / "data/demo/weights.json").read_bytes())
    assert pinned[0] == pinned[1]
    assert json.loads(pinned[0]) == {
        "text": {
            "commit": OLD,
            "digest": {"config.json": sha256("{}"), "model.safetensors": sha256(OLD)},
            "licence": "",
        }
    }


def test_a_digest_of_a_hub_model_is_held_against_it_too(cache: Path) -> None:
    refused = pin_hub(cache, "lab/roberta", sha256="0" * 64)
    assert refused.returncode == 1
    assert f"{KEY}.sha256: " in refused.stderr
    digest = re.search(r"has the SHA-256 (\w{64}), and not 0{64}", refused.stderr)
    assert digest
    assert pin_hub(cache, "lab/roberta", sha256=digest[1]).stdout.split()[0] == OLD


def test_a_model_that_is_not_there_is_an_error_that_says_how_to_get_it(cache: Path) -> None:
    absent = pin_hub(cache, "lab/bert")
    assert absent.returncode == 1
    assert absent.stderr.startswith(f"{KEY}: lab/bert is not in the local cache of the hub")
    assert "`hf download lab/bert`" in absent.stderr
    assert absent.stderr.count("\n") == 1
    revision = pin_hub(cache, "lab/roberta", revision="v3")
    assert "`hf download lab/roberta --revision v3`" in revision.stderr


def test_a_cache_that_holds_a_part_of_a_model_is_told_as_such(cache: Path) -> None:
    (cache / "models--lab--roberta" / "snapshots" / OLD / "model.safetensors").unlink()
    for params in ({}, {"revision": OLD}):
        refused = pin_hub(cache, "lab/roberta", **params)
        assert refused.stderr.startswith(f"{KEY}: lab/roberta ")
        assert "is not in the local cache of the hub, and the hub cannot be asked" in refused.stderr


def test_a_folder_needs_no_hub(cache: Path) -> None:
    snapshot = cache / "models--lab--roberta" / "snapshots" / OLD
    digest = find_local(KEY, str(snapshot)).sha256()
    assert pin_hub(cache, str(snapshot), sha256=digest).stdout.split() == ["None", sha256(OLD)]
