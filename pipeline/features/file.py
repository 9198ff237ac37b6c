"""The feature file: one HDF5 file that holds all that a fusion model needs of a corpus.

    /utterances   id, split, dialogue, position, speaker, label, text, start_s, end_s    [N]
    /<modality>   features float32 [N, D], observed bool [N], reason [N] (empty where observed),
                  digest [N] (of id and features, so that a row that was moved or changed can be named),
                  minimum, maximum float32 [D] (over observed rows; NaN if there are none),
                  feature_name [D] (only where the extractor names its features)
    attributes    schema, corpus, labels (JSON list), provenance (JSON), content_sha256

Rows are in the manifest's order: by split, then dialogue, then position; the utterances of a
dialogue are contiguous.  Any HDF5 reader opens it; text is variable-length UTF-8.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.features.content import (
    SCHEMA,
    UTTERANCE_COLUMNS,
    Features,
    ModalityFeatures,
    row_digests,
    value_range,
)
from pipeline.features.layout import layout_problems, list_modalities
from pipeline.features.rules import attribute_problems, find_problems
from pipeline.store.h5 import CONTENT_SHA256, Arrays, content_digest, write_h5
from pipeline.store.opening.file import DamagedFileError, H5File, open_h5

_SHOWN_PROBLEMS = 3


def write_features(path: Path, features: Features) -> None:
    """Write a feature file, atomically; UserError if the content breaks a rule of the format."""
    problems = find_problems(features)
    if problems:
        raise UserError(f"{path}: not written: {'; '.join(problems)}")
    arrays: Arrays = {f"utterances/{name}": getattr(features, name) for name in UTTERANCE_COLUMNS}
    for name, modality in features.modalities.items():
        arrays |= {f"{name}/{key}": array for key, array in _modality_arrays(modality, features.id).items()}
    attrs: dict[str, str | int] = {
        "schema": SCHEMA,
        "corpus": features.corpus,
        "labels": json.dumps(features.label_names, ensure_ascii=False),
        "provenance": json.dumps(features.provenance, sort_keys=True, ensure_ascii=False),
    }
    write_h5(path, arrays, attrs)


def read_features(path: Path, modalities: Sequence[str] | None = None) -> Features:
    """Read a feature file, or only some of its modalities.

    UserError if it is not a readable one or breaks a rule of the format.  Only a file that is read whole can
    be held against its content's digest.
    """
    with open_features(path) as file:
        stored = list_modalities(file.arrays)
        if absent := sorted(set(modalities or ()) - {*stored}):
            holds = ", ".join(stored)
            raise UserError(f"{path}: holds no {', '.join(absent)} features (it holds: {holds})")
        wanted = {*stored} if modalities is None else {*modalities}
        chosen = [name for name in file.arrays if name.split("/")[0] in ("utterances", *wanted)]
        arrays = {name: file.read(name) for name in chosen}
        if (
            len(chosen) == len(file.arrays)
            and content_digest(arrays, file.attrs) != file.attrs[CONTENT_SHA256]
        ):
            raise DamagedFileError("the content does not match its digest")
    features = assemble_features(arrays, file.attrs)
    _refuse(path, find_problems(features))
    return features


@contextmanager
def open_features(path: Path) -> Iterator[H5File]:
    """A feature file of this schema, with the attributes and arrays that one has; UserError if it is none.

    Damage that is found while it is open is a UserError too.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a folder; name a features.h5")
    try:
        with open_h5(path) as file:
            schema = file.attrs.get("schema")
            if not isinstance(schema, int):
                raise UserError(f"{path}: no feature file, though an HDF5 file; name a features.h5")
            if schema != SCHEMA:
                raise UserError(
                    f"{path}: feature file of schema {schema}, but this version reads {SCHEMA}; run dvc repro"
                )
            _refuse(path, attribute_problems(file.attrs) + layout_problems(file.arrays))
            yield file
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such feature file; make it with dvc repro, or fetch it with dvc pull"
        ) from None
    except DamagedFileError as error:
        raise UserError(
            f"{path}: not a readable feature file ({str(error).removeprefix(f'{path}: ')});"
            " if it should be one, delete it and run dvc repro or dvc pull"
        ) from None


def assemble_features(arrays: Arrays, attrs: Mapping[str, Any]) -> Features:
    """The content that a file's arrays and attributes stand for, which keep the rules of the layout."""
    columns = {name: arrays[f"utterances/{name}"] for name in UTTERANCE_COLUMNS}
    whole_numbers = {name: columns[name].astype(np.int64) for name in ("position", "label")}
    seconds = {name: columns[name].astype(np.float64) for name in ("start_s", "end_s")}
    return Features(
        corpus=attrs["corpus"],
        label_names=tuple(json.loads(attrs["labels"])),
        **columns | whole_numbers | seconds,
        modalities={
            name: ModalityFeatures(
                features=arrays[f"{name}/features"],
                observed=arrays[f"{name}/observed"],
                reason=arrays[f"{name}/reason"],
                feature_name=arrays.get(f"{name}/feature_name"),
                digest=arrays[f"{name}/digest"],
            )
            for name in list_modalities(arrays)
        },
        provenance=json.loads(attrs["provenance"]),
        digest=attrs[CONTENT_SHA256],
    )


def _modality_arrays(modality: ModalityFeatures, ids: np.ndarray) -> Arrays:
    """What a file holds of a modality, its summary included."""
    minimum, maximum = value_range(modality.features, modality.observed)
    arrays = {
        "features": modality.features,
        "observed": modality.observed,
        "reason": modality.reason,
        "digest": row_digests(ids, modality.features),
        # Kept, because to find them a reader would have to go through hundreds of megabytes.
        "minimum": minimum,
        "maximum": maximum,
    }
    if modality.feature_name is not None:
        arrays["feature_name"] = modality.feature_name
    return arrays


def _refuse(path: Path, problems: Sequence[str]) -> None:
    """UserError if there are any."""
    if problems:
        more = len(problems) - _SHOWN_PROBLEMS
        shown = "; ".join(problems[:_SHOWN_PROBLEMS]) + (f"; and {more} more problems" if more > 0 else "")
        raise UserError(
            f"{path}: not a sound feature file: {shown}; make it again, or fetch it with dvc pull"
            " (multiemo verify names all)"
        )
