"""Features of one modality taken from another feature file, instead of those extracted here.

So an ablation of an encoder (the paper's "w/o VisExtNet" [5.3]) is an entry of params.yaml like any
other: what was taken stands in the entry's own feature file, and all that reads that file sees it.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.features.file import Features, ModalityFeatures, read_features
from pipeline.manifest import Utterance


def take_modality(
    path: Path, sha256: str, modality: str, utterances: Sequence[Utterance], key: str
) -> tuple[ModalityFeatures, dict[str, Any]]:
    """The modality's rows for these utterances, in their order, and the provenance of its source.

    Rows are found by utterance id; the file may hold more.  ``sha256`` is the content digest that the
    file must have, and ``key`` the section of params.yaml that names both.  UserError if the file cannot
    be read, has another digest, lacks the modality or an utterance, or has other words for one.
    """
    # Whole, because only then is the content held against its digest.
    found = read_features(path)
    if found.digest != sha256:
        raise UserError(
            f"{path}: its content digest is {found.digest}, not that of {key}.features_sha256;"
            " put it there if this is the file that you mean"
        )
    if modality not in found.modalities:
        raise UserError(
            f"{path}: holds no {modality} features (it holds: {', '.join(found.modalities)});"
            f" {key}.features_file needs a file that does"
        )
    rows = _find_rows(path, found, utterances)
    taken = found.modalities[modality]
    source = found.provenance.get("sources", {}).get(modality, {})
    encoder = found.provenance.get("encoders", {}).get(modality, "an unknown encoder")
    return (
        ModalityFeatures(
            taken.features[rows], taken.observed[rows], taken.reason[rows], feature_name=taken.feature_name
        ),
        # The encoder's words stay as they are: by them a model knows features of its own kind.
        {"versions": {}}  # a file made elsewhere may not tell them
        | source
        | {"encoder": encoder, "taken_from": {"corpus": found.corpus, "content_sha256": found.digest}},
    )


def _find_rows(path: Path, found: Features, utterances: Sequence[Utterance]) -> np.ndarray:
    """int64 [N]: the file's row of each utterance."""
    row_of = {str(name): row for row, name in enumerate(found.id)}
    absent = [each.id for each in utterances if each.id not in row_of]
    if absent:
        more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
        close = difflib.get_close_matches(absent[0], row_of, n=1)
        hint = f" (it has {close[0]})" if close else ""
        raise UserError(
            f"{path}: holds {len(utterances) - len(absent)} of the {len(utterances)} utterances of this"
            f" corpus; it lacks {', '.join(absent[:3])}{more}{hint}"
        )
    rows = np.array([row_of[each.id] for each in utterances], dtype=np.int64)
    # Ids such as train_dia0_utt0 occur in many corpora.
    for each, text in zip(utterances, found.text[rows], strict=True):
        if each.text != text:
            raise UserError(
                f"{path}: of another corpus ({found.corpus}): its utterance {each.id} is {str(text)!r},"
                f" here it is {each.text!r}"
            )
    return rows
