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

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.store.h5 import (
    CONTENT_SHA256,
    Arrays,
    DamagedFileError,
    list_arrays,
    open_to_read,
    read_h5,
    write_h5,
)

SCHEMA = 2
SPLITS = ("train", "dev", "test")
UNLABELLED = -1
UTTERANCE_COLUMNS = ("id", "split", "dialogue", "position", "speaker", "label", "text", "start_s", "end_s")
MODALITY_ARRAYS = ("features", "observed", "reason", "digest", "minimum", "maximum")
"""Of every modality; ``feature_name`` is only where there are names."""


@dataclass(frozen=True)
class ModalityFeatures:
    """One modality of all utterances."""

    features: np.ndarray
    """float32 [N, D]; zero where not observed."""
    observed: np.ndarray
    """bool [N]"""
    reason: np.ndarray
    """str [N]: why the modality was not observed, empty where it was."""
    feature_name: np.ndarray | None = None
    """str [D]: what the extractor calls its features; None where it names none."""
    digest: np.ndarray | None = None
    """str [N]: ``row_digests`` as the file holds them; None before the features were written."""

    def take(self, rows: np.ndarray) -> ModalityFeatures:
        """The modality of some utterances: int [M], rows of these, in the order wanted."""
        return replace(
            self,
            features=self.features[rows],
            observed=self.observed[rows],
            reason=self.reason[rows],
            digest=None if self.digest is None else self.digest[rows],
        )


@dataclass(frozen=True)
class Features:
    """Content of a feature file; N utterances in the manifest's order."""

    corpus: str
    label_names: tuple[str, ...]
    id: np.ndarray
    """str [N], unique, such as ``train_dia0_utt3``."""
    split: np.ndarray
    """str [N]: train, dev or test."""
    dialogue: np.ndarray
    """str [N], such as ``train_dia0``."""
    position: np.ndarray
    """int64 [N]: place in the dialogue, from 0, without gaps."""
    speaker: np.ndarray
    """str [N]"""
    label: np.ndarray
    """int64 [N]: index into ``label_names``, -1 where unlabelled."""
    text: np.ndarray
    """str [N]"""
    start_s: np.ndarray
    """float64 [N]: start of the utterance in its media file; NaN where it is the whole file."""
    end_s: np.ndarray
    """float64 [N]: end of the utterance in its media file; NaN where it is the whole file."""
    modalities: dict[str, ModalityFeatures]
    provenance: dict[str, Any]
    """How the features came about; ``encoders`` says it in plain words."""
    digest: str = ""
    """SHA-256 of the file's content."""

    def __len__(self) -> int:
        return len(self.id)


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
    """Read a feature file, or only some of its modalities; UserError if it is not a readable one."""
    names = list_stored(path)
    stored = {name.split("/")[0] for name in names} - {"utterances"}
    absent = sorted(set(modalities or ()) - stored)
    if absent:
        holds = ", ".join(sorted(stored))
        raise UserError(f"{path}: holds no {', '.join(absent)} features (it holds: {holds})")
    wanted = stored if modalities is None else stored.intersection(modalities)
    chosen = [name for name in names if name.split("/")[0] in ("utterances", *wanted)]
    # Only a file that is read whole can be held against its digest.
    return assemble_features(*read_stored(path, None if chosen == names else chosen))


def list_stored(path: Path) -> list[str]:
    """Names of the arrays of a feature file; UserError if it is not a readable one of this schema."""
    with _refusing(path), open_to_read(path) as file:
        schema = file.attrs.get("schema")
        if schema is None:
            raise UserError(f"{path}: no feature file, though an HDF5 file; name a features.h5")
        if schema != SCHEMA:
            raise UserError(
                f"{path}: feature file of schema {schema}, but this version reads {SCHEMA}; run dvc repro"
            )
        return list_arrays(file)


def read_stored(path: Path, names: Sequence[str] | None = None) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and attributes of a feature file; all arrays, held against their digest, if none are named."""
    with _refusing(path):
        return read_h5(path, names)


def assemble_features(arrays: Arrays, attrs: Mapping[str, Any]) -> Features:
    """The content that a file's arrays and attributes stand for; KeyError if one of them is absent."""
    stored = sorted({name.split("/")[0] for name in arrays} - {"utterances"})
    return Features(
        corpus=attrs["corpus"],
        label_names=tuple(json.loads(attrs["labels"])),
        **{name: arrays[f"utterances/{name}"] for name in UTTERANCE_COLUMNS},
        modalities={
            name: ModalityFeatures(
                features=arrays[f"{name}/features"],
                observed=arrays[f"{name}/observed"],
                reason=arrays[f"{name}/reason"],
                feature_name=arrays.get(f"{name}/feature_name"),
                digest=arrays[f"{name}/digest"],
            )
            for name in stored
        },
        provenance=json.loads(attrs["provenance"]),
        digest=attrs[CONTENT_SHA256],
    )


def row_digests(ids: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Digests of utterances' ids [N] and vectors float32 [N, D]: str [N], 16 hexadecimal digits each.

    SHA-256 of the id in UTF-8, a zero byte, and the vector's bytes (little-endian), cut to 64 bits.
    """
    rows = np.ascontiguousarray(vectors, dtype="<f4")
    digests = [
        hashlib.sha256(f"{utterance}\0".encode() + row.data).hexdigest()[:16]
        for utterance, row in zip(ids, rows, strict=True)
    ]
    return np.array(digests, dtype=object)


def value_range(features: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minimum and maximum float32 [D] of features [N, D] over the observed rows; NaN if there are none."""
    if not observed.any():
        nothing = np.full(features.shape[1], np.nan, np.float32)
        return nothing, nothing
    rows = features[observed]
    return rows.min(axis=0), rows.max(axis=0)


def count_positions(dialogue: np.ndarray) -> np.ndarray:
    """int64 [N]: place of each utterance in its dialogue, from 0, by the dialogues' names, str [N]."""
    places = [place for _, rows in groupby(dialogue) for place, _ in enumerate(rows)]
    return np.array(places, np.int64)


def find_problems(features: Features) -> list[str]:
    """Every rule of the format that the content breaks, in words; empty if it is sound."""
    problems = utterance_problems(features)
    for name, modality in features.modalities.items():
        problems += [f"{name}: {problem}" for problem in modality_problems(modality, features.id)]
    return problems


def utterance_problems(features: Features) -> list[str]:
    """Every rule that the utterances' columns break, in words."""
    count = len(features)
    problems = [
        f"utterances/{name} has {len(getattr(features, name))} rows instead of {count}"
        for name in UTTERANCE_COLUMNS
        if len(getattr(features, name)) != count
    ]
    if problems:
        return problems
    if len(set(features.id.tolist())) != count:
        problems.append("utterance ids repeat")
    if set(features.split.tolist()) - set(SPLITS):
        problems.append(f"splits other than {', '.join(SPLITS)}")
    if count and (features.label.min() < UNLABELLED or features.label.max() >= len(features.label_names)):
        problems.append("labels outside the label names")
    changes = int((features.dialogue[1:] != features.dialogue[:-1]).sum())
    if count and changes + 1 != len(set(features.dialogue.tolist())):
        problems.append("the utterances of a dialogue are not contiguous")
    elif not np.array_equal(features.position, count_positions(features.dialogue)):
        problems.append("positions do not count the utterances of each dialogue from 0")
    if len({*zip(features.dialogue.tolist(), features.split.tolist(), strict=True)}) > changes + 1:
        problems.append("a dialogue lies in several splits")
    return problems


def modality_problems(modality: ModalityFeatures, ids: np.ndarray) -> list[str]:
    """Every rule that a modality of the utterances with these ids breaks, in words."""
    count = len(ids)
    shapes = (modality.features.shape[:1], modality.observed.shape, modality.reason.shape)
    if any(shape != (count,) for shape in shapes) or modality.features.ndim != 2:
        return [f"shapes {modality.features.shape}, {modality.observed.shape} do not fit {count} utterances"]
    problems = []
    if modality.features.dtype != np.float32:
        problems.append(f"features are {modality.features.dtype}, not float32")
    if not np.isfinite(modality.features).all():
        problems.append("features are not all finite")
    if modality.features[~modality.observed].any():
        problems.append("features are not zero where the modality was not observed")
    if ((modality.reason == "") != modality.observed).any():
        problems.append("a reason must stand exactly where the modality was not observed")
    if modality.feature_name is not None and len(modality.feature_name) != modality.features.shape[1]:
        problems.append(f"{len(modality.feature_name)} names for {modality.features.shape[1]} features")
    if modality.digest is not None:
        wrong = ids[modality.digest != row_digests(ids, modality.features)]
        if len(wrong):
            others = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            problems.append(f"rows that are not what was written: {', '.join(wrong[:3])}{others}")
    return problems


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


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn what goes wrong in reading a file into words."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such feature file; make it with dvc repro, or fetch it with dvc pull"
        ) from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder; name a features.h5") from None
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, DamagedFileError) as error:
        raise UserError(
            f"{path}: not a readable feature file ({' '.join(str(error).split())});"
            " if it should be one, delete it and run dvc repro or dvc pull"
        ) from None
