"""A stage that is run by hand: what is no stage, or comes too early, is said in one line."""

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


@pytest.mark.parametrize("named", [[], ["sound"], ["__main__"], ["console"]])
def test_what_is_no_stage_gets_the_names_of_those_that_are(
    named: list[str], capsys: pytest.CaptureFixture
) -> None:
    assert main(named) == 2
    stages = "|".join(modules_in("stages"))
    assert capsys.readouterr().err == f"usage: python -m stages <{stages}> [entry of params.yaml]\n"
    assert stages.startswith("audio|code|")
