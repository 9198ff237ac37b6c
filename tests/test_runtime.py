from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.console.__main__ import main as run_command
from pipeline.errors import UserError
from pipeline.features.file import write_features
from pipeline.runtime import (
    WORKER_INDEX,
    accept_failures,
    checkpoint_root,
    device,
    model_workers,
    printing_whatever_comes,
    store_root,
    workers,
)
from stages.__main__ import main as run_stage
from tests import small_features


def test_a_queued_experiment_shares_the_projects_store_and_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MULTIEMO_STORE", raising=False)
    queued = tmp_path / ".dvc" / "tmp" / "exps" / "tmp8rkgryt2"  # where DVC runs it
    queued.mkdir(parents=True)
    for folder in (tmp_path, queued):
        monkeypatch.chdir(folder)
        assert store_root() == tmp_path / ".multiemo" / "store"
        assert checkpoint_root() == tmp_path / ".multiemo" / "checkpoints"
        monkeypatch.setenv("MULTIEMO_STORE", "lab/store")
        assert store_root() == tmp_path / "lab" / "store"
        monkeypatch.setenv("MULTIEMO_STORE", "/lab/store")
        assert store_root() == Path("/lab/store")
        monkeypatch.delenv("MULTIEMO_STORE")


@pytest.mark.parametrize(
    ("wanted", "per_gpu", "devices"),
    [
        ("auto", None, ["cuda:0", "cuda:1", "cuda:0", "cuda:1", "cuda:0", "cuda:1"]),
        ("auto", "1", ["cuda:0", "cuda:1"]),
        ("cuda:1", "2", ["cuda:1", "cuda:1"]),
        ("cpu", "2", ["cpu"] * 5),
    ],
)
def test_networks_run_in_several_processes_on_each_gpu(
    wanted: str, per_gpu: str | None, devices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("MULTIEMO_DEVICE", wanted)
    monkeypatch.setenv("MULTIEMO_WORKERS", "5")
    if per_gpu:
        monkeypatch.setenv("MULTIEMO_WORKERS_PER_GPU", per_gpu)
    found = []
    for index in range(model_workers()):
        monkeypatch.setenv(WORKER_INDEX, str(index))
        found.append(device())
    assert found == devices


@pytest.mark.parametrize("wanted", ["cuda:2", "cuda:9", "cudax", "cuda:", "cuda:01", "cuda:1:1", "gpu", ""])
def test_a_device_that_is_not_there_is_named_before_torch_meets_it(
    wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("MULTIEMO_DEVICE", wanted)
    with pytest.raises(UserError, match=rf"^MULTIEMO_DEVICE={wanted}: .*cuda:0"):
        device()


@pytest.mark.parametrize("count", ["²", "0", "-1", "1.5", "two", ""])
def test_a_number_of_workers_that_is_none_is_named(count: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTIEMO_WORKERS", count)
    with pytest.raises(UserError, match=f"^MULTIEMO_WORKERS={count}: give a whole number, at least 1"):
        workers()


def test_failures_are_accepted_where_one_says_so_with_a_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MULTIEMO_ACCEPT_FAILURES", raising=False)
    assert not accept_failures()
    monkeypatch.setenv("MULTIEMO_ACCEPT_FAILURES", "1")
    assert accept_failures()
    for value in ("0", "", "true"):
        monkeypatch.setenv("MULTIEMO_ACCEPT_FAILURES", value)
        with pytest.raises(UserError, match=f"MULTIEMO_ACCEPT_FAILURES={value}: set it to 1, or not at all"):
            accept_failures()


@pytest.mark.parametrize("run", [run_stage, run_command])
def test_an_output_that_is_ascii_gets_escapes_instead_of_ending_a_run(
    run: Callable[[list[str]], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written = []
    for stream in ("stdout", "stderr"):
        raw = io.BytesIO()
        monkeypatch.setattr(sys, stream, io.TextIOWrapper(raw, encoding="ascii", write_through=True))
        written.append(raw)
    if run is run_stage:
        Path("params.yaml").write_text("größe: 1\n", encoding="utf-8")
        assert run(["code"]) == 1
    else:
        write_features(Path("f.h5"), replace(small_features.recordings(), corpus="größe"))
        assert run(["inspect", "f.h5"]) == 0
    print("悲しみ")
    assert b"gr\\xf6\\xdfe" in b"".join(raw.getvalue() for raw in written)
    assert written[0].getvalue().endswith(b"\\u60b2\\u3057\\u307f\n")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_what_is_printed_shows_control_characters_and_stays_json(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, write_through=True))
    before = sys.stdout
    with printing_whatever_comes():
        print("label \x1b[2J\rfine")
        print(json.dumps("\x1b\x9b\ud800é", ensure_ascii=False))
        sys.stdout.write("\r 50%|#####     |\r")
    assert sys.stdout is before
    first, second, bar = raw.getvalue().decode(encoding).split("\n")
    assert first == r"label \u001b[2J\u000dfine"
    assert json.loads(second.replace(r"\xe9", "é")) == "\x1b\x9b\ud800é"
    assert bar == "\r 50%|#####     |\r"  # a progress bar draws itself anew
