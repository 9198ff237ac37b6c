from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.params import CorpusParams
from pipeline.store.code import PROJECT, module_path, reachable
from stages.__main__ import STAGES

DEFINITIONS: dict[str, Any] = YAML(typ="safe").load(PROJECT / "dvc.yaml")["stages"]


def body(stage: str) -> dict[str, Any]:
    return DEFINITIONS[stage].get("do", DEFINITIONS[stage])


def test_every_stage_has_its_module_and_every_module_its_stage() -> None:
    modules = {path.stem for path in (PROJECT / "stages").glob("*.py")} - {"__init__", "__main__"}
    assert set(DEFINITIONS) == modules == set(STAGES)


@pytest.mark.parametrize("stage", DEFINITIONS)
def test_a_stage_depends_on_exactly_the_modules_it_imports(stage: str) -> None:
    listed = {dep for dep in body(stage)["deps"] if dep.endswith(".py")}
    paths = [module_path(name) for name in reachable(f"stages.{stage}")]
    assert listed == {path.relative_to(PROJECT).as_posix() for path in paths if path}


@pytest.mark.parametrize("stage", DEFINITIONS)
def test_no_output_is_kept_between_runs_or_depends_on_the_machine(stage: str) -> None:
    outs = [out for out in body(stage).get("outs", []) if isinstance(out, dict)]
    assert not any("persist" in options for out in outs for options in out.values())
    assert "MULTIEMO" not in body(stage)["cmd"]
    assert not Path(body(stage)["cmd"].split()[0]).is_absolute()


def test_every_param_of_a_corpus_is_tracked_by_a_stage() -> None:
    tracked = {
        key.split(".")[2] for stage in DEFINITIONS for key in body(stage).get("params", []) if "${key}" in key
    }
    # Where a corpus lies and what may be read say nothing about it; what it holds is a dependency.
    assert tracked == set(CorpusParams.model_fields) - {"root", "outside_media"}
