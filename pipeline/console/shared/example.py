"""The model of a project that a user names, and the corpus whose features it reads."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import UserError
from pipeline.params import PARAMS_FILE, CorpusParams, Params, read_params

MODELS = Path("data", "models")


class Example(NamedTuple):
    """A trained model, and the corpus whose features it was trained on."""

    project: Path
    """Folder of the params.yaml that has both."""
    name: str
    corpus_name: str
    corpus: CorpusParams

    @property
    def folder(self) -> Path:
        """Where the model is."""
        return self.project / MODELS / self.name / "model"


def find_example(like: str) -> Example:
    """The model that ``like`` names: an entry of models here, the folder of one, or the corpus of just one.

    A folder may be of a project elsewhere.  UserError where no model is meant, or several are, or where
    nothing tells how its features were made.
    """
    project, name = _project_and_entry(like)
    params = read_params(project / PARAMS_FILE)
    if name not in params.models:
        name = _only_model_of(name, like, params, project)
    corpus = _corpus_of(name, project, params)
    if corpus is None:
        raise UserError(
            f"models.{name}.features: {params.models[name].features} is of no entry under corpora, so that"
            " nothing says how its features were made; name a model of a corpus that is extracted here"
        )
    return Example(project, name, corpus, params.corpora[corpus])


def _project_and_entry(like: str) -> tuple[Path, str]:
    """Those of a folder ``<project>/data/models/<entry>``, or ``model`` in it; else an entry here."""
    path = Path(like).absolute()  # not resolved: data may be a link to a larger disk
    for folder in (path, *([path.parent] if path.name == "model" else [])):
        if len(folder.parents) > 2:
            project = folder.parents[2]
            if folder.parent == project / MODELS and (project / PARAMS_FILE).is_file():
                return Path() if project == Path.cwd() else project, folder.name
    if os.sep in like:
        raise UserError(
            f"--like {like}: is no folder of a model, which is <project>/{MODELS}/<model>, with {PARAMS_FILE}"
            " in the project"
        )
    if not PARAMS_FILE.exists():
        raise UserError(
            f"--like {like}: there is no {PARAMS_FILE} here; run in the project's folder, or name that of the"
            f" model, <project>/{MODELS}/<model>"
        )
    return Path(), like


def _only_model_of(corpus: str, like: str, params: Params, project: Path) -> str:
    """The model that was trained on a corpus's features."""
    if corpus not in params.corpora:
        close = difflib.get_close_matches(corpus, [*params.models, *params.corpora], n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UserError(
            f"--like {like}: is no entry under models in {PARAMS_FILE}, nor the folder of one ({hint}there"
            f" are: {', '.join(params.models) or 'none'})"
        )
    models = [name for name in params.models if _corpus_of(name, project, params) == corpus]
    if not models:
        raise UserError(f"--like {like}: is a corpus whose features no model in {PARAMS_FILE} was trained on")
    if len(models) > 1:
        raise UserError(f"--like {like}: is a corpus of several models; name one of {', '.join(models)}")
    return models[0]


def _corpus_of(model: str, project: Path, params: Params) -> str | None:
    """The corpus whose own feature file a model is trained on."""
    features = (project / params.models[model].features).absolute()
    own = {(project / "data" / name / "features.h5").absolute(): name for name in params.corpora}
    return own.get(features)
