from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.params import CorpusParams, DemoParams, JoinParams, ModelParams, Params
from pipeline.store.code import PROJECT, modules_in

FILE: dict[str, Any] = YAML(typ="safe").load(PROJECT / "dvc.yaml")
DEFINITIONS: dict[str, Any] = FILE["stages"]


def body(stage: str) -> dict[str, Any]:
    return DEFINITIONS[stage].get("do", DEFINITIONS[stage])


def outputs(stage: str) -> list[str]:
    """All that a stage writes, metrics and plots included."""
    listed = [out for key in ("outs", "metrics", "plots") for out in body(stage).get(key, [])]
    return [name for out in listed for name in (out if isinstance(out, dict) else [out])]


def test_every_stage_has_its_module_and_every_module_its_stage() -> None:
    assert set(DEFINITIONS) == set(modules_in("stages"))
    for stage in DEFINITIONS:
        entry = " ${key}" if "foreach" in DEFINITIONS[stage] else ""
        assert body(stage)["cmd"] == f"python -m stages {stage}{entry}"


def test_the_stage_code_writes_the_digest_of_every_other_stage() -> None:
    written = {name for name in outputs("code") if name.startswith("data/code/")}
    digests = {f"data/code/{stage}.txt" for stage in DEFINITIONS if stage != "code"}
    assert written == digests
    # Folders, so that no file that is added is forgotten.
    assert set(body("code")["deps"]) == {"params.yaml", "pipeline", "stages", "train"}


@pytest.mark.parametrize("stage", [stage for stage in DEFINITIONS if stage != "code"])
def test_a_stage_depends_on_the_digest_of_its_code_and_on_no_module(stage: str) -> None:
    depends = body(stage)["deps"]
    assert [dep for dep in depends if dep.startswith("data/code/")] == [f"data/code/{stage}.txt"]
    code = ("pipeline", "stages", "train")
    # Templates are no code: a page's digest does not cover them.
    others = [dep for dep in depends if dep.split("/")[0] in code and not dep.startswith("pipeline/report/")]
    assert others == []
    assert not [dep for dep in depends if dep.endswith(".py")]


@pytest.mark.parametrize("stage", ["report", "compare"])
def test_a_page_depends_on_its_templates(stage: str) -> None:
    folder = "pipeline/report/"
    listed = {dep.removeprefix(folder) for dep in body(stage)["deps"] if dep.startswith(folder)}
    assert listed == {"base.html.jinja", "macros.jinja", f"{stage}.html.jinja", "page.css"}
    assert all((PROJECT / folder / name).is_file() for name in listed)


def test_every_output_has_one_stage_and_every_dependency_in_data_is_an_output() -> None:
    written = [name for stage in DEFINITIONS for name in outputs(stage)]
    assert len(set(written)) == len(written)
    folders = {str(Path(name).parent) for name in written}
    for stage in DEFINITIONS:
        for dep in body(stage)["deps"]:
            assert not dep.startswith("data/") or dep in written or dep in folders, f"{stage}: {dep}"


@pytest.mark.parametrize("stage", DEFINITIONS)
def test_no_output_is_kept_between_runs_or_depends_on_the_machine(stage: str) -> None:
    outs = [out for out in body(stage).get("outs", []) if isinstance(out, dict)]
    assert not any("persist" in options for out in outs for options in out.values())
    assert "MULTIEMO" not in body(stage)["cmd"]
    assert not Path(body(stage)["cmd"].split()[0]).is_absolute()


def tracked(section: str) -> set[str]:
    """Keys of ``section.<entry>``, or of the section itself, that some stage tracks; "" for all."""
    keys = [str(key).split(".") for stage in DEFINITIONS for key in body(stage).get("params", [])]
    return {".".join(key[2:3]) for key in keys if key[0] == section}


def test_every_param_is_tracked_by_a_stage() -> None:
    # What lies at the root is a dependency.
    assert tracked("corpora") == set(CorpusParams.model_fields) - {"root"}
    assert tracked("joins") == {""}
    assert tracked("models") == {""}
    assert tracked("demo") == {""}
    described = {JoinParams: "joins", ModelParams: "models", DemoParams: "demo", CorpusParams: "corpora"}
    assert set(Params.model_fields) == set(described.values())


def test_a_stage_runs_once_for_each_entry_of_its_section() -> None:
    of = {stage: DEFINITIONS[stage].get("foreach") for stage in DEFINITIONS}
    assert {stage for stage in of if of[stage] is None} == {"code", "demo", "compare"}
    assert {stage for stage in of if of[stage] == "${joins}"} == {"join"}
    assert {stage for stage in of if of[stage] == "${models}"} == {"train", "evaluate"}
    # So that params.yaml may lack any of them.
    assert FILE["vars"] == [{"corpora": {}, "joins": {}, "models": {}}]
