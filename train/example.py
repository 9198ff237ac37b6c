"""The model of params.yaml that a user names, and the corpus whose features it reads."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pipeline.errors import UserError
from pipeline.params import PARAMS_FILE, CorpusParams, Params


class Example(NamedTuple):
    """A trained model, and the corpus whose features it was trained on."""

    name: str
    folder: Path
    corpus_name: str
    corpus: CorpusParams


def find_example(like: str, params: Params) -> Example:
    """The model that ``like`` names: an entry, or the folder of one; UserError if it cannot be used."""
    folders = {Path("data", "models", name, "model").resolve(): name for name in params.models}
    name = folders.get(Path(like).resolve(), like)
    if name not in params.models:
        raise UserError(
            f"--like {like}: is no entry under models in {PARAMS_FILE}, nor the folder of one (there are:"
            f" {', '.join(params.models) or 'none'})"
        )
    features = Path(params.models[name].features).as_posix()
    corpus = next((each for each in params.corpora if f"data/{each}/features.h5" == features), None)
    if corpus is None:
        raise UserError(
            f"models.{name}.features: {features} is of no entry under corpora, so that nothing says how its"
            " features were made; name a model of a corpus that is extracted here"
        )
    return Example(name, Path("data", "models", name, "model"), corpus, params.corpora[corpus])
