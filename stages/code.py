"""Check params.yaml, and write what every stage depends on of the code: data/code/<stage>.txt.

A stage's file holds the digest of all code that the stage can reach, so that a comment reruns nothing and
a changed constant the stages that can reach it.  This stage comes before all others, so that a mistake in
params.yaml, in whatever entry, stops a run before any work.

Beside them it writes the names of all models, data/models/results/models.txt, and data/params.schema.json,
by which an editor completes and explains params.yaml.
"""

from __future__ import annotations

import importlib
import json
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.encoders.kinds import ENCODERS
from pipeline.errors import UserError
from pipeline.params import RESULTS, ModelParams, Params, Section, kinds_in, read_kind, read_params
from pipeline.store.code import code_digest, modules_in
from train.networks import find_network, with_recipe

DEMO_ROOT = "data/raw/demo"
FORMATS, NETWORKS = "pipeline.corpora", "train.networks"


def main() -> None:
    """Write ``data/code/`` and ``data/params.schema.json``; UserError if params.yaml has a mistake."""
    params = read_params()
    check_kinds(params)
    folder = Path("data", "code")
    folder.mkdir(parents=True, exist_ok=True)
    for stage in modules_in("stages"):
        if stage != "code":
            digest = code_digest("stages.__main__", f"stages.{stage}")
            (folder / f"{stage}.txt").write_text(digest + "\n", encoding="utf-8")
    # Among the results, on which the page of all models depends: so it forgets a model that is taken out, and
    # DVC sees the folder even where there is no model.
    results = Path("data", "models", RESULTS)
    results.mkdir(parents=True, exist_ok=True)
    (results / "models.txt").write_text(f"{_names(params.models)}\n", encoding="utf-8")
    schema = json.dumps(make_schema(), indent=1)
    Path("data", "params.schema.json").write_text(schema + "\n", encoding="utf-8")
    entries = f"corpora: {_names(params.corpora)}; models: {_names(params.models)}"
    print(f"code: params.yaml is sound; {entries}")
    for name, corpus in params.corpora.items():
        # No error: who has pulled the features of a corpus trains on them without its videos.
        if corpus.root != DEMO_ROOT and not Path(corpus.root).is_dir():
            content = read_kind(FORMATS, corpus.format, f"corpora.{name}.format").module.CONTENT
            missing = f"corpora.{name}.root: there is no folder {corpus.root}, where manifest@{name}"
            print(f"code: warning: {missing} will look for {content}")


def check_kinds(params: Params) -> None:
    """UserError, a line for each mistake, unless every kind that is chosen exists and has right params."""
    chosen = [(FORMATS, corpus.format, f"corpora.{name}.format") for name, corpus in params.corpora.items()]
    chosen += [
        (ENCODERS[modality], corpus.encoder(modality), f"corpora.{name}.{modality}.encoder")
        for name, corpus in params.corpora.items()
        for modality in corpus.modalities
    ]
    checks: list[partial[Any]] = [partial(read_kind, *choice) for choice in chosen]
    checks += [partial(check_model, model, f"models.{name}") for name, model in params.models.items()]
    mistakes = []
    for check in checks:
        try:
            check()
        except UserError as error:
            mistakes.append(str(error))
    if mistakes:
        raise UserError("\n".join(mistakes))


def check_model(model: ModelParams, key: str) -> None:
    """UserError unless an entry's network and recipe exist and have right params."""
    find_network(with_recipe(model, key).network, f"{key}.network")


def make_schema() -> dict[str, Any]:
    """The JSON schema of params.yaml, with the params of every kind that there is."""
    schema = Params.model_json_schema()
    definitions = schema["$defs"]
    packages = {"VisualParams": "visual", "AudioParams": "audio", "TextParams": "text"}
    for section, modality in packages.items():
        encoder = _schema_of_kinds(ENCODERS[modality], definitions)
        definitions[section]["properties"]["encoder"] |= {"anyOf": [encoder, {"type": "null"}]}
    formats = _schema_of_kinds(FORMATS, definitions)
    form = {"anyOf": [{"enum": kinds_in(FORMATS)}, formats]}
    for section, key, content in (
        ("CorpusParams", "format", form),
        ("ModelParams", "network", _schema_of_kinds(NETWORKS, definitions)),
    ):
        described = definitions[section]["properties"][key]
        definitions[section]["properties"][key] = {"description": described["description"]} | content
    return schema


def _schema_of_kinds(package: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of any kind of a package; that of each kind is added to ``definitions``."""
    for kind in kinds_in(package):
        template = f"#/$defs/{package}.{kind}/$defs/{{model}}"
        params: type[Section] = importlib.import_module(f"{package}.{kind}").Params
        definitions[f"{package}.{kind}"] = params.model_json_schema(ref_template=template)
    return {"anyOf": [{"$ref": f"#/$defs/{package}.{kind}"} for kind in kinds_in(package)]}


def _names(entries: dict[str, Any]) -> str:
    return ", ".join(entries) or "none"
