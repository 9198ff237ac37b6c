"""Processes that torchrun brings together, on the cores of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipeline.store.code import PROJECT
from pipeline.work import torchrun

TELL = """
import os, pathlib, sys
from pipeline import runtime
pathlib.Path(sys.argv[1], os.environ["RANK"]).write_text(runtime.device_and_threads())
"""


def _threads_of_a_process() -> int:
    """Threads that torch takes in a new process: MKL bounds it by the cores."""
    asking = [sys.executable, "-c", "import torch; print(torch.get_num_threads())"]
    return int(subprocess.run(asking, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize(("given", "workers", "share"), [(None, 2, 1), (None, 6, 3), ("2", 2, 2)])
def test_what_a_key_holds_of_the_threads_is_what_each_process_has(
    given: str | None, workers: int, share: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tell.py").write_text(TELL)
    monkeypatch.setenv("PYTHONPATH", f"{PROJECT}{os.pathsep}{tmp_path}")
    monkeypatch.setenv("MULTIEMO_DEVICE", "cpu")
    monkeypatch.setenv("MULTIEMO_WORKERS", str(workers))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    most = _threads_of_a_process()
    monkeypatch.setattr(torch, "get_num_threads", lambda: most)  # this one was given a single thread
    with (tmp_path / "lock").open("w") as lock:
        torchrun.run_module("tell", [str(tmp_path)], 2, lock.fileno())
    told = {(tmp_path / rank).read_text() for rank in "01"}
    assert told == {torchrun.device_and_threads(2)} == {f"cpu, {min(share, most)} threads"}
