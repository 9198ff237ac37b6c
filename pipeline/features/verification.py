"""Is a feature file what was written, and does it keep the rules?  Check by check.

A check that cannot be made, because what it needs is missing, fails with that reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.features.file import (
    MODALITY_ARRAYS,
    SCHEMA,
    SPLITS,
    UTTERANCE_COLUMNS,
    Features,
    assemble_features,
    modality_problems,
    utterance_problems,
    value_range,
)
from pipeline.store.h5 import CONTENT_SHA256, Arrays, content_digest, list_arrays, open_to_read, read_h5


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    problems: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify_features(path: Path) -> Iterator[Check]:
    """Make every check, in the order in which one rests on another; UserError if there is no such file.

    Ends early where a file of another schema or without the needed arrays leaves nothing to check.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a folder; name a features.h5")
    if not path.is_file():
        raise UserError(f"{path}: no such file; make it with dvc repro, or fetch it with dvc pull")
    try:
        with open_to_read(path) as file:
            attrs: dict[str, Any] = dict(file.attrs)
            names = list_arrays(file)
    except Exception as error:  # h5py raises whatever a damaged object leads it to
        yield Check("is an HDF5 file", (str(error),))
        return
    yield Check("is an HDF5 file")
    other_schema = _schema_problems(attrs.get("schema"))
    yield _check("is of this version's schema", other_schema)
    if other_schema:
        return
    attribute_problems, array_problems = _attribute_problems(attrs), _array_problems(names)
    yield _check("has the attributes", attribute_problems)
    yield _check("has the arrays", array_problems)
    arrays, damaged = _read_each(path, names)
    yield _check("every array's checksum is right", damaged)
    if attribute_problems or array_problems or damaged:
        return
    yield _check("the content has the digest that it was written with", _digest_problems(arrays, attrs))
    features = assemble_features(arrays, attrs)
    yield _check(
        "utterances: ids are unique, labels and splits known, dialogues whole and counted from 0",
        _attempt(utterance_problems, features),
    )
    for name, modality in features.modalities.items():
        yield _check(
            f"{name}: shapes fit, features are finite, zero where not observed, each row is the one written",
            _attempt(modality_problems, modality, features.id),
        )
        yield _check(f"{name}: the stored ranges are true", _attempt(_range_problems, name, arrays))
    yield _check("the provenance is of these features", _attempt(_provenance_problems, features))


def _check(name: str, problems: list[str]) -> Check:
    return Check(name, tuple(problems))


def _attempt(rule: Callable[..., list[str]], *arguments: Any) -> list[str]:
    """The problems that a rule names; content so broken that the rule cannot be applied is one too."""
    try:
        return rule(*arguments)
    except Exception as error:
        return [f"cannot be checked ({error})"]


def _schema_problems(schema: Any) -> list[str]:
    if schema == SCHEMA:
        return []
    if schema is None:
        return ["it has no schema, so it is not a feature file"]
    word = "an older" if schema < SCHEMA else "a newer"
    return [f"it is of {word} schema, {schema}; this version reads {SCHEMA}: run dvc repro"]


def _attribute_problems(attrs: dict[str, Any]) -> list[str]:
    problems = [f"{name} is missing" for name in ("corpus", CONTENT_SHA256) if name not in attrs]
    for name, kind in (("labels", list), ("provenance", dict)):
        try:
            if not isinstance(json.loads(attrs[name]), kind):
                problems.append(f"{name} is no JSON {'list' if kind is list else 'object'}")
        except KeyError:
            problems.append(f"{name} is missing")
        except (ValueError, TypeError):
            problems.append(f"{name} is not JSON")
    return problems


def _array_problems(names: list[str]) -> list[str]:
    modalities = sorted({name.split("/")[0] for name in names} - {"utterances"})
    needed = [f"utterances/{column}" for column in UTTERANCE_COLUMNS]
    needed += [f"{modality}/{name}" for modality in modalities for name in MODALITY_ARRAYS]
    known = {*needed, *(f"{modality}/feature_name" for modality in modalities)}
    return [f"{name} is missing" for name in needed if name not in names] + [
        f"{name} is not part of the format" for name in names if name not in known
    ]


def _read_each(path: Path, names: list[str]) -> tuple[Arrays, list[str]]:
    """The arrays that can be read, and the names of the others."""
    arrays: Arrays = {}
    damaged = []
    for name in names:
        try:
            arrays |= read_h5(path, [name])[0]
        except Exception:  # as above
            damaged.append(f"{name} is damaged")
    return arrays, damaged


def _digest_problems(arrays: Arrays, attrs: dict[str, Any]) -> list[str]:
    digest = content_digest(arrays, attrs)
    return [] if digest == attrs[CONTENT_SHA256] else [f"it is {digest}"]


def _range_problems(modality: str, arrays: Arrays) -> list[str]:
    minimum, maximum = value_range(arrays[f"{modality}/features"], arrays[f"{modality}/observed"])
    return [
        f"{bound} is not that of the features"
        for bound, values in (("minimum", minimum), ("maximum", maximum))
        if not np.array_equal(values, arrays[f"{modality}/{bound}"], equal_nan=True)
    ]


def _provenance_problems(features: Features) -> list[str]:
    provenance = features.provenance
    problems = [
        f"it does not say what made the {name} features"
        for name in features.modalities
        if not provenance.get("encoders", {}).get(name)
    ]
    counts = {split: int((features.split == split).sum()) for split in SPLITS}
    if "splits" in provenance and provenance["splits"] != counts:
        problems.append(f"it counts {provenance['splits']} utterances, and the file holds {counts}")
    return problems
