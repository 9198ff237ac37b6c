"""Models by hub id with the hub switched off: what lies in the hub's local cache is found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
COMMITS = {"main": "a" * 40, "v2": "b" * 40}
ASK = """
import sys
from pipeline.errors import UserError
from pipeline.encoders.weights import find_model
name, *revision = sys.argv[1:]
try:
    found = find_model("corpora.demo.finetune.encoder", name, *revision)
    print(found.path.name, found.digest["model.safetensors"])
except UserError as error:
    sys.exit(str(error))
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Laid out as huggingface_hub does: one model, two revisions."""
    root = tmp_path_factory.mktemp("hub")
    model = root / "models--lab--roberta"
    (model / "refs").mkdir(parents=True)
    for revision, commit in COMMITS.items():
        (model / "refs" / revision).write_text(commit)
        snapshot = model / "snapshots" / commit
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text("{}")
        (snapshot / "model.safetensors").write_text(revision)
    return root


def ask(cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": str(PROJECT), "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    command = [sys.executable, "-c", ASK, *arguments]
    return subprocess.run(command, env=environment, text=True, capture_output=True, check=False)


def test_each_revision_has_its_own_weights(cache: Path) -> None:
    main, tag, commit = (ask(cache, "lab/roberta", *revision).stdout.split() for revision in (
        [], ["v2"], [COMMITS["v2"]]))  # fmt: skip
    assert [main[0], tag[0], commit[0]] == [COMMITS["main"], COMMITS["v2"], COMMITS["v2"]]
    assert main[1] != tag[1] == commit[1]


def test_a_model_that_is_not_there_is_an_error_that_says_how_to_get_it(cache: Path) -> None:
    absent = ask(cache, "lab/bert")
    assert absent.returncode == 1
    assert absent.stderr.startswith(
        "corpora.demo.finetune.encoder: lab/bert is not in the local cache of the hub"
    )
    assert "`hf download lab/bert`" in absent.stderr
    assert "`hf download lab/roberta --revision v3`" in ask(cache, "lab/roberta", "v3").stderr
    assert absent.stderr.count("\n") == 1


def test_a_folder_needs_no_hub(cache: Path) -> None:
    folder = cache / "models--lab--roberta" / "snapshots" / COMMITS["main"]
    assert ask(cache, str(folder)).stdout.split()[0] == COMMITS["main"]
