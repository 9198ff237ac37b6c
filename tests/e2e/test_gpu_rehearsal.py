"""The benchmark for machines with a GPU, rehearsed on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu.__main__ import PARTS

PROJECT = Path(__file__).parents[2]

pytestmark = pytest.mark.e2e


def test_every_part_of_the_benchmark_for_gpus_runs_small_on_a_cpu(tmp_path: Path) -> None:
    command = ["bash", str(PROJECT / "benchmarks/gpu.sh"), "--rehearse", "results"]
    environment = os.environ | {"PYTHON": sys.executable}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads((tmp_path / "results/gpu.json").read_text(encoding="utf-8"))
    assert {figure["part"] for figure in found["figures"]} == set(PARTS)
    assert not [figure for figure in found["figures"] if str(figure["value"]).startswith("fails")]
    assert "NO GPU" in (tmp_path / "results/gpu.md").read_text(encoding="utf-8")
