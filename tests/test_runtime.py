from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.errors import UserError
from pipeline.runtime import WORKER_INDEX, accept_failures, checkpoint_root, device, model_workers, store_root


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


def test_failures_are_accepted_where_one_says_so_with_a_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MULTIEMO_ACCEPT_FAILURES", raising=False)
    assert not accept_failures()
    monkeypatch.setenv("MULTIEMO_ACCEPT_FAILURES", "1")
    assert accept_failures()
    for value in ("0", "", "true"):
        monkeypatch.setenv("MULTIEMO_ACCEPT_FAILURES", value)
        with pytest.raises(UserError, match=f"MULTIEMO_ACCEPT_FAILURES={value}: set it to 1, or not at all"):
            accept_failures()
