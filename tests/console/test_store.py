from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.console import store as store_command
from pipeline.console.__main__ import main
from pipeline.store.code import PROJECT
from pipeline.store.h5 import write_h5
from pipeline.store.housekeeping import StoredFile, delete
from pipeline.store.items import ItemStore
from pipeline.store.locks import only_run

DAY_S = 86_400
USED, UNUSED, FRESH = ("a" * 64, "b" * 64, "c" * 64)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose output was made of one of three items, all but one of them 40 days old."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MULTIEMO_STORE", raising=False)
    root = tmp_path / ".multiemo" / "store"
    for key, stage, days in ((USED, "faces", 40), (UNUSED, "faces", 40), (FRESH, "audio", 0)):
        ItemStore(root, stage).put(key, {"features": np.ones(1000)})
        age(ItemStore(root, stage).path(key), days)
    leftover = root / "faces" / "aa" / f".{USED}.h5.x_y1z2"
    leftover.write_bytes(b"half")
    age(leftover, 2)
    (leftover.with_name(f".{USED}.h5.new")).write_bytes(b"in the making")
    write_h5(tmp_path / "data/demo/faces.h5", {"item_key": np.array([USED])}, {})
    write_h5(tmp_path / "data/demo/features.h5", {"label": np.zeros(3)}, {})
    (root / "probes").mkdir()
    (root / "probes" / "cache.json").write_text("{}")
    return root


def age(path: Path, days: float) -> None:
    then = time.time() - days * DAY_S
    os.utime(path, (then, then))


def remaining(root: Path) -> set[str]:
    return {path.name for path in root.rglob("*") if path.is_file()}


def test_ls_counts_items_and_bytes_and_what_the_project_uses(store: Path, capsys) -> None:
    assert main(["store", "ls"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["audio", "1", "0.0", "MB", "0", "1", "0", "days"] in lines
    assert ["faces", "2", "0.0", "MB", "1", "1", "40", "days"] in lines
    assert any(line[:2] == ["2", "unfinished"] for line in lines)


def test_verify_names_every_item_that_is_damaged(store: Path, capsys) -> None:
    assert main(["store", "verify"]) == 0
    assert "3 items, 0 damaged" in capsys.readouterr().out
    path = ItemStore(store, "faces").path(UNUSED)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert main(["store", "verify"]) == 1
    assert f"damaged: {path}\n3 items, 1 damaged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("criteria", "gone"),
    [
        ([], set()),
        (["--unreachable"], {UNUSED}),
        (["--older-than", "30d"], {USED, UNUSED}),
        (["--older-than", "8w"], set()),
        (["--unreachable", "--older-than", "30d"], {UNUSED}),
        (["--older-than", "0d"], {USED, UNUSED}),
    ],
)
def test_prune_deletes_what_meets_all_criteria_and_old_leftovers(
    store: Path, criteria: list[str], gone: set[str], capsys
) -> None:
    before = remaining(store)
    assert main(["store", "prune", *criteria]) == 0
    assert f"{len(gone) + 1} files, " in capsys.readouterr().out
    assert remaining(store) == before
    assert main(["store", "prune", *criteria, "--delete"]) == 0
    assert before - remaining(store) == {f"{key}.h5" for key in gone} | {f".{USED}.h5.x_y1z2"}


def test_an_item_that_was_used_within_the_last_day_stays(store: Path) -> None:
    age(ItemStore(store, "faces").path(UNUSED), 0.99)
    age(ItemStore(store, "faces").path(USED), 1.01)  # it may have been used within the hour after
    assert ItemStore(store, "faces").get(UNUSED) is not None
    age(ItemStore(store, "audio").path(FRESH), 1.1)
    assert main(["store", "prune", "--older-than", "0d", "--delete"]) == 0
    assert {name for name in remaining(store) if name.endswith(".h5")} == {f"{USED}.h5", f"{UNUSED}.h5"}
    assert ItemStore(store, "faces").path(UNUSED).stat().st_mtime > time.time() - 3600


def test_an_item_that_a_run_takes_while_others_are_deleted_stays(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def delete_once_used(file: StoredFile) -> bool:
        ItemStore(store, "faces").get(UNUSED)
        return delete(file)

    monkeypatch.setattr(store_command, "delete", delete_once_used)
    assert main(["store", "prune", "--older-than", "30d", "--delete"]) == 0
    assert f"{UNUSED}.h5" in remaining(store)
    assert f"{USED}.h5" not in remaining(store)
    assert "2 files, " in capsys.readouterr().out.splitlines()[-1]


def test_a_trained_seed_is_reachable_as_long_as_the_project_has_its_model(store: Path, capsys) -> None:
    card = Path("data/models/demo/model/model.json")
    card.parent.mkdir(parents=True)
    card.write_text(json.dumps({"item_keys": [UNUSED]}))
    assert main(["store", "prune", "--unreachable"]) == 0
    assert "1 files, 0.0 MB would go" in capsys.readouterr().out  # the leftover


def test_an_encoder_is_reachable_as_long_as_the_project_has_it(store: Path, capsys) -> None:
    origin = Path("data/demo/text_encoder/origin.json")
    origin.parent.mkdir()
    origin.write_text(json.dumps({"encoder": "small", "item_keys": [UNUSED]}))
    assert main(["store", "prune", "--unreachable"]) == 0
    assert "1 files, 0.0 MB would go" in capsys.readouterr().out  # the leftover
    origin.write_text("{half")
    assert main(["store", "prune", "--unreachable"]) == 0
    assert "2 files, 0.0 MB would go" in capsys.readouterr().out


def test_an_unfinished_training_is_shown_and_goes_after_a_day(store: Path, tmp_path: Path, capsys) -> None:
    recent, old = (tmp_path / ".multiemo" / "checkpoints" / key for key in (FRESH, UNUSED))
    for folder in (recent, old):
        (folder / "checkpoint-7").mkdir(parents=True)
        (folder / "checkpoint-7" / "model.safetensors").write_bytes(bytes(1_000_000))
    for path in (old / "checkpoint-7" / "model.safetensors", old / "checkpoint-7", old):
        age(path, 2)
    assert main(["store", "ls"]) == 0
    assert "2 unfinished trainings in " in capsys.readouterr().out
    assert main(["store", "prune", "--delete"]) == 0
    assert (recent.exists(), old.exists()) == (True, False)


def test_the_checkpoints_of_a_training_that_runs_stay_however_old(store: Path, tmp_path: Path) -> None:
    running, stopped = (tmp_path / ".multiemo" / "checkpoints" / key for key in (USED, UNUSED))
    with only_run(running), only_run(stopped):
        pass
    for folder in (running, stopped):
        age(folder, 3)
    with only_run(running):
        assert main(["store", "prune", "--delete"]) == 0
    assert (running.exists(), stopped.exists()) == (True, False)


def test_checkpoints_that_rotate_while_they_are_listed_are_no_error(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".multiemo" / "checkpoints" / USED
    for number in (1, 2):
        (folder / f"checkpoint-{number}").mkdir(parents=True)
        (folder / f"checkpoint-{number}" / "state.pt").touch()
    look = os.stat

    def rotate(path: Any, **options: Any) -> os.stat_result:
        if "checkpoint-1" in str(path):
            shutil.rmtree(folder / "checkpoint-1", ignore_errors=True)
        return look(path, **options)

    monkeypatch.setattr(os, "stat", rotate)
    assert main(["store", "ls"]) == 0
    assert not (folder / "checkpoint-1").exists()


def test_prune_does_not_take_a_project_without_outputs_for_one_that_uses_nothing(store: Path, capsys) -> None:
    Path("data/demo/faces.h5").unlink()
    before = remaining(store)
    assert main(["store", "prune", "--unreachable", "--delete"]) == 1
    assert "multiemo: error: --unreachable: there are no outputs" in capsys.readouterr().err
    assert remaining(store) == before


def test_a_store_that_is_not_there_is_named_in_one_line(tmp_path: Path, capsys) -> None:
    assert main(["store", "ls", "--store", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.startswith(f"multiemo: error: no item store at {tmp_path / 'none'}")


@pytest.mark.parametrize("arguments", [[], ["store"], ["store", "prune", "--older-than", "soon"]])
def test_a_wrong_call_shows_the_usage(arguments: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: multiemo" in capsys.readouterr().err


def test_a_closed_pipe_is_no_error_to_shout_about(store: Path) -> None:
    shell = f"{sys.executable} -m pipeline.console.__main__ store ls --store {store} | head -1"
    done = subprocess.run(shell, shell=True, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == f"item store {store}\n"
    assert done.stderr == ""
