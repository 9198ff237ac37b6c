"""The stage code: mistakes in the params of kinds, the schema, and the digests of code."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import stages.code
from pipeline.errors import UserError
from pipeline.params import Params, kinds_in, read_params
from pipeline.store.code import PROJECT, modules_in

ENTRY = YAML(typ="safe").load(PROJECT / "params.yaml")["corpora"]["demo"]
MODEL = {"features": "data/demo/features.h5"}


def complaint(**entries: Any) -> str:
    with pytest.raises(UserError) as raised:
        stages.code.check_kinds(Params.model_validate(entries))
    return str(raised.value)


MISTAKES = {
    "a typo in a network's key": (
        {"models": {"m": MODEL | {"network": {"kind": "multiemo", "layer": 2}}}},
        "params.yaml: models.m.network.layer: unknown key (did you mean 'layers'?)",
    ),
    "a typo below it": (
        {"models": {"m": MODEL | {"network": {"kind": "multiemo", "loss": {"temprature": 2.0}}}}},
        "params.yaml: models.m.network.loss.temprature: unknown key (did you mean 'temperature'?)",
    ),
    "an impossible value": (
        {"models": {"m": MODEL | {"network": {"kind": "multiemo", "dropout": 1.0}}}},
        "params.yaml: models.m.network.dropout: input should be less than 1 (it is 1.0)",
    ),
    "values that exclude each other": (
        {
            "models": {
                "m": MODEL
                | {"network": {"kind": "multiemo", "loss": {"swfc_weight": 0.8, "soft_hgr_weight": 0.3}}}
            }
        },
        "params.yaml: models.m.network.loss: swfc_weight + soft_hgr_weight must not exceed 1 (Eq. 22)",
    ),
    "a network that there is not": (
        {"models": {"m": MODEL | {"network": {"kind": "multimeo"}}}},
        f"params.yaml: models.m.network.kind: 'multimeo' is none of {', '.join(kinds_in('train.networks'))}"
        " (did you mean 'multiemo'?)",
    ),
    "an encoder that there is not": (
        {"corpora": {"c": ENTRY | {"audio": {"encoder": {"kind": "opensmyle"}}}}},
        "params.yaml: corpora.c.audio.encoder.kind: 'opensmyle' is none of opensmile, transformers"
        " (did you mean 'opensmile'?)",
    ),
    "an encoder without what it needs": (
        {"corpora": {"c": ENTRY | {"visual": {"encoder": {"kind": "resnet"}}}}},
        "params.yaml: corpora.c.visual.encoder.weights: missing",
    ),
    "an encoder's key in another's": (
        {"corpora": {"c": ENTRY | {"audio": {"encoder": {"kind": "opensmile", "weights": "untrained"}}}}},
        "params.yaml: corpora.c.audio.encoder.weights: unknown key",
    ),
    "a format that there is not": (
        {"corpora": {"c": ENTRY | {"format": "melt"}}},
        "params.yaml: corpora.c.format.kind: 'melt' is none of iemocap, meld, table (did you mean 'meld'?)",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_kind_is_one_line_that_names_its_key(mistake: str) -> None:
    entries, expected = MISTAKES[mistake]
    assert complaint(**entries) == expected


def test_every_mistake_is_told_at_once() -> None:
    models = {name: MODEL | {"network": {"kind": name}} for name in ("first", "second")}
    lines = complaint(corpora={"c": ENTRY | {"format": "melt"}}, models=models).splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "corpora.c.format.kind",
        "models.first.network.kind",
        "models.second.network.kind",
    ]


def test_the_encoder_of_a_modality_that_is_not_extracted_is_not_asked_for() -> None:
    text_alone = ENTRY | {"modalities": ["text"], "visual": {"encoder": {"kind": "of_tomorrow"}}, "audio": {}}
    stages.code.check_kinds(Params.model_validate({"corpora": {"c": text_alone}}))


def test_the_stage_writes_a_digest_for_every_stage_and_the_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "params.yaml").write_text("models:\n  theirs: {features: /lab/other.h5}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    stages.code.main()
    digests = {path.stem: path.read_text() for path in (tmp_path / "data/code").iterdir()}
    assert set(digests) == set(modules_in("stages")) - {"code"}
    assert all(len(digest) == 65 for digest in digests.values())
    assert len(set(digests.values())) == len(digests)
    assert json.loads((tmp_path / "data/params.schema.json").read_text()) == stages.code.make_schema()
    assert (tmp_path / "data/models/results/models.txt").read_text() == "theirs\n"
    assert "params.yaml is sound; corpora: none; models: theirs" in capsys.readouterr().out


def test_a_folder_that_is_not_there_is_no_mistake_but_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump({"corpora": {"theirs": ENTRY | {"root": "/nowhere"}}}, file)
    monkeypatch.chdir(tmp_path)
    stages.code.main()
    assert "warning: corpora.theirs.root: there is no folder /nowhere" in capsys.readouterr().out


def test_an_experiments_copy_of_the_project_that_lacks_a_folder_names_the_path_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tmp_path / ".dvc" / "tmp" / "exps" / "tmpabc"
    for folder in (experiment, tmp_path / "recordings", tmp_path / "data" / "demo"):
        folder.mkdir(parents=True)
    (tmp_path / "data" / "demo" / "features.h5").touch()  # which the experiment makes
    corpora = {"demo": ENTRY, "mine": ENTRY | {"root": "recordings"}}
    params = Params.model_validate({"corpora": corpora, "models": {"m": MODEL}})
    for folder, lacks in ((tmp_path, False), (experiment, True)):
        monkeypatch.chdir(folder)
        line = rf"corpora\.mine\.root: recordings is not in .* absolute path, {tmp_path}/recordings$"
        with pytest.raises(UserError, match=line) if lacks else nullcontext():
            stages.code.check_inputs(params)


def test_an_experiments_copy_that_lacks_weights_names_the_path_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the hub is asked for a model of that name."""
    experiment = tmp_path / ".dvc" / "tmp" / "exps" / "tmpabc"
    for folder in (experiment, tmp_path / "models" / "roberta"):
        folder.mkdir(parents=True)
    texts = {"here": "models/roberta", "there": str(tmp_path / "models" / "roberta"), "hub": "lab/roberta"}
    corpora = {
        name: ENTRY | {"text": {"encoder": {"kind": "transformers", "weights": weights}}}
        for name, weights in texts.items()
    }
    monkeypatch.chdir(experiment)
    line = rf"corpora\.here\.text\.encoder\.weights: models/roberta is not in .*, {tmp_path}/models/roberta$"
    with pytest.raises(UserError, match=line):
        stages.code.check_inputs(Params.model_validate({"corpora": corpora}))
    del corpora["here"]
    stages.code.check_inputs(Params.model_validate({"corpora": corpora}))


def test_what_dvc_would_wait_for_is_named_before_dvc_reads_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("whole", "mine", "data/raw/demo"):
        Path(folder).mkdir(parents=True)
    for pipe in ("mine/live", "data/raw/demo/live", "features.h5"):
        os.mkfifo(pipe)
    roots = {"demo": "data/raw/demo", "absent": "absent", "whole": "whole", "mine": "mine"}
    corpora = {name: ENTRY | {"root": root} for name, root in roots.items()}
    models = {"m": MODEL, "n": {"features": "features.h5"}}
    with pytest.raises(UserError) as raised:
        stages.code.check_for_dvc(Params.model_validate({"corpora": corpora, "models": models}))
    advice = (
        "; DVC reads all that lies there, and would wait for ever or stop: move it elsewhere, or delete it"
    )
    assert str(raised.value).splitlines() == [
        f"params.yaml: corpora.mine.root: mine/live is a pipe (FIFO){advice}",
        f"params.yaml: models.n.features: features.h5 is a pipe (FIFO){advice}",
    ]


def test_what_dvc_keeps_in_its_cache_is_left_alone_when_the_stage_runs_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_text("models: {}\n", encoding="utf-8")
    (tmp_path / "data/code").mkdir(parents=True)
    (tmp_path / "cached").write_text("older", encoding="utf-8")
    (tmp_path / "data/code/train.txt").symlink_to(tmp_path / "cached")
    monkeypatch.chdir(tmp_path)
    stages.code.main()
    assert (tmp_path / "cached").read_text(encoding="utf-8") == "older"
    assert len((tmp_path / "data/code/train.txt").read_text(encoding="utf-8")) == 65


SCHEMA = stages.code.make_schema()


def parts(node: Any) -> Iterator[dict[str, Any]]:
    """Every mapping of a schema."""
    if isinstance(node, dict):
        yield node
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from parts(each)


def resolve(reference: str) -> dict[str, Any]:
    """What a ``$ref`` refers to; KeyError if there is nothing."""
    start, *keys = reference.split("/")
    assert start == "#"
    node = SCHEMA
    for key in keys:
        node = node[key]
    return node


def test_every_reference_of_the_schema_leads_somewhere() -> None:
    references = {part["$ref"] for part in parts(SCHEMA) if "$ref" in part}
    assert len(references) > 15
    for reference in references:
        assert "properties" in resolve(reference), reference


def allows(schema: dict[str, Any], value: Any) -> bool:
    """Whether a schema takes a value, as far as its kinds of values, keys and choices go."""
    if "$ref" in schema:
        return allows(resolve(schema["$ref"]), value)
    if "anyOf" in schema:
        return any(allows(choice, value) for choice in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return value in schema.get("enum", [schema.get("const")])
    types: dict[str, Any] = {
        "object": dict, "array": list, "string": str, "integer": int, "number": (int, float),
        "boolean": bool, "null": type(None),
    }  # fmt: skip
    if not isinstance(value, types[schema["type"]]):
        return False
    if not isinstance(value, dict):
        return True
    named = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    others = next(iter(schema["patternProperties"].values())) if "patternProperties" in schema else others
    return all(key in value for key in schema.get("required", [])) and all(
        allows(named[key], each) if key in named else others is True or (others and allows(others, each))
        for key, each in value.items()
    )


def test_the_schema_takes_the_projects_params_and_no_typo_in_them() -> None:
    params = YAML(typ="safe").load(PROJECT / "params.yaml")
    assert allows(SCHEMA, params)
    wrong = [
        lambda p: p.update(modles={}),
        lambda p: p["corpora"]["demo"]["faces"].update(min_face_size=2),
        lambda p: p["corpora"]["demo"]["visual"]["encoder"].update(kind="opensmile"),
        lambda p: p["corpora"]["demo"]["text"]["encoder"].update(weigths="x"),
        lambda p: p["corpora"]["demo"].update(format="melt"),
        lambda p: p["models"]["demo"]["network"].update(layer=3),
        lambda p: p["models"]["demo"]["network"].update(loss={"temprature": 1}),
        lambda p: p["models"]["demo"].pop("features"),
    ]
    for spoil in wrong:
        spoilt = YAML(typ="safe").load(PROJECT / "params.yaml")
        spoil(spoilt)
        assert not allows(SCHEMA, spoilt)


@pytest.mark.parametrize("package", ["pipeline.encoders.visual", "pipeline.corpora", "train.networks"])
def test_the_schema_describes_every_key_of_every_kind(package: str) -> None:
    for kind in kinds_in(package):
        described = SCHEMA["$defs"][f"{package}.{kind}"]
        for key, content in described["properties"].items():
            if "$ref" not in content and key != "kind":
                assert content.get("description"), f"{package}.{kind}: {key}"


def test_the_projects_own_params_pass() -> None:
    stages.code.check_kinds(read_params(PROJECT / "params.yaml"))
