"""Check params.yaml before anything else runs, and write its JSON schema.

The schema lets an editor complete and explain every key of params.yaml.  It changes only with
pipeline/params.py, so that this stage runs at every change of params.yaml, and the others do not.
"""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.corpora.formats import expected_content
from pipeline.params import Params, read_params

DEMO_ROOT = "data/raw/demo"


def main() -> None:
    """Write ``data/params.schema.json``; UserError if params.yaml does not follow it."""
    corpora = read_params().corpora
    path = Path("data", "params.schema.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(Params.model_json_schema(), indent=1) + "\n", encoding="utf-8")
    print(f"params: params.yaml is sound; corpora: {', '.join(corpora)}")
    for name, corpus in corpora.items():
        # No error: who has pulled the features of a corpus trains on them without its videos.
        if corpus.root != DEMO_ROOT and not Path(corpus.root).is_dir():
            print(
                f"params: warning: corpora.{name}.root: there is no folder {corpus.root}, where"
                f" manifest@{name} will look for {expected_content(corpus.format)}"
            )
