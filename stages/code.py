"""Check params.yaml, and write what every stage depends on of the code: data/code/<stage>.txt.

A stage's file holds the digest of all code that the stage can reach, so that a comment reruns nothing and
a changed constant the stages that can reach it.  This stage comes before all others, so that a mistake in
params.yaml, in whatever entry, stops a run before any work.

Beside them it writes the names of all models, data/models/results/models.txt, and data/params.schema.json,
by which an editor completes and explains params.yaml.

``make repro`` runs this before DVC, too: DVC has words of its own for a file in which it does not find what
dvc.yaml names.
"""

from __future__ import annotations

import importlib
import json
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.corpora.annotations.corpus import FORMATS, read_format
from pipeline.encoders.kinds import ENCODERS, encoder_key, read_encoder
from pipeline.errors import UserError, shorten
from pipeline.media.special_files import LEADS_NOWHERE, find_unreadable, special_kind
from pipeline.params import (
    DEMO_ROOT,
    PARAMS_FILE,
    RESULTS,
    ModelParams,
    Params,
    Section,
    kinds_in,
    read_params,
)
from pipeline.runtime import project_root
from pipeline.store.atomic import write_text
from pipeline.store.code import code_digest, modules_in
from train.networks import find_network, with_recipe

NETWORKS = "train.networks"


def main() -> None:
    """Write ``data/code/`` and ``data/params.schema.json``; UserError if params.yaml has a mistake."""
    params = read_params()
    check_kinds(params)
    check_inputs(params)
    check_for_dvc(params)
    folder = Path("data", "code")
    for stage in modules_in("stages"):
        if stage != "code":
            digest = code_digest("stages.__main__", f"stages.{stage}")
            write_text(folder / f"{stage}.txt", f"{digest}\n")
    # Among the results, on which the page of all models depends: so it forgets a model that is taken out, and
    # DVC sees the folder even where there is no model.
    write_text(Path("data", "models", RESULTS, "models.txt"), f"{_names(params.models)}\n")
    write_text(Path("data", "params.schema.json"), json.dumps(make_schema(), indent=1) + "\n")
    entries = f"corpora: {_names(params.corpora)}; models: {_names(params.models)}"
    print(shorten(f"code: params.yaml is sound; {entries}"))
    for name, corpus in params.corpora.items():
        # No error: who has pulled the features of a corpus trains on them without its videos.
        if corpus.root != DEMO_ROOT and not Path(corpus.root).is_dir():
            content = read_format(name, corpus).module.CONTENT
            missing = f"corpora.{name}.root: there is no folder {corpus.root}, where manifest@{name}"
            print(f"code: warning: {missing} will look for {content}")


def check_kinds(params: Params) -> None:
    """UserError, a line for each mistake, unless every kind that is chosen exists and has right params."""
    corpora = params.corpora.items()
    checks: list[partial[Any]] = [partial(read_format, name, corpus) for name, corpus in corpora]
    checks += [
        partial(read_encoder, name, corpus, modality)
        for name, corpus in corpora
        for modality in corpus.modalities
    ]
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


def check_inputs(params: Params) -> None:
    """UserError where an experiment runs in a copy of the project that lacks what the project has.

    ``dvc exp run --temp`` copies what git or DVC tracks, and no other file.
    """
    for key, path in (_inputs(params) | _weights(params)).items():
        original = project_root() / path
        if original.exists() and not Path(path).exists():
            raise UserError(
                f"{PARAMS_FILE}: {key}: {path} is not in this experiment's copy of the project, because"
                f" git does not track it; write the absolute path, {original}"
            )


def check_for_dvc(params: Params) -> None:
    """UserError, a line for each key, where DVC would wait for ever or stop without saying why."""
    mistakes = []
    for key, path in _inputs(params).items():
        kind = special_kind(path)
        found = list(islice(find_unreadable(path), 4)) if Path(path).is_dir() else []
        if kind and kind != LEADS_NOWHERE:  # whose target may be missing as a folder may
            found = [f"{path} is {kind}"]
        if found:
            more = ", ..." if len(found) > 3 else ""
            mistakes.append(
                f"{PARAMS_FILE}: {key}: {', '.join(found[:3])}{more}; DVC reads all that lies there, and"
                " would wait for ever or stop: move it elsewhere, or delete it"
            )
    if mistakes:
        raise UserError("\n".join(mistakes))


def _inputs(params: Params) -> dict[str, str]:
    """Key and path of what is given, and not made by a stage."""
    made = {f"data/{name}/features.h5" for name in params.corpora}
    made |= {f"data/joined/{name}.h5" for name in params.joins} | {DEMO_ROOT}
    given = {f"corpora.{name}.root": corpus.root for name, corpus in params.corpora.items()}
    given |= {f"models.{name}.features": model.features for name, model in params.models.items()}
    for name, join in params.joins.items():
        given |= {f"joins.{name}.features": join.features, f"joins.{name}.other": join.other}
    return {key: path for key, path in given.items() if path not in made}


def _weights(params: Params) -> dict[str, str]:
    """Key and words of encoders' weights: a path, or a hub id."""
    return {
        f"{encoder_key(name, modality)}.weights": weights
        for name, corpus in params.corpora.items()
        for modality in corpus.modalities
        if (weights := getattr(corpus.encoder(modality), "weights", None))
    }


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
