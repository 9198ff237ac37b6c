"""A stage that is run by hand before those that it needs says what is missing in one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.store.code import PROJECT, modules_in
from stages.__main__ import main

OTHERS = {"demo", "code", "compare", "join", "weights"}
"""Which need no output of a stage, or have no entry of this name."""


@pytest.mark.parametrize("stage", sorted({*modules_in("stages")} - OTHERS))
def test_a_stage_that_is_run_too_early_is_one_line(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(PROJECT / "params.yaml", tmp_path)
    assert main([stage, "demo"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
