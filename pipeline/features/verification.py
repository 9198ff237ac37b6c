"""Is a feature file what was written, and does it keep the rules?  Check by check.

A check that cannot be made, because what it needs is missing, fails with that reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.features.content import SCHEMA, SPLITS, Features, value_range
from pipeline.features.file import assemble_features
from pipeline.features.layout import layout_problems
from pipeline.features.rules import attribute_problems, modality_problems, utterance_problems
from pipeline.store.h5 import CONTENT_SHA256, Arrays, content_digest
from pipeline.store.opening.file import DamagedFileError, H5File, open_h5


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
        with open_h5(path) as file:
            yield from _verify(path, file)
    except DamagedFileError as error:
        yield Check("is an HDF5 file whose bytes are those that were written", (_reason(error, path),))


def _verify(path: Path, file: H5File) -> Iterator[Check]:
    damaged = file.check_bytes()
    known = "" if file.sealed else " (unknown: other software wrote it, or changed it since)"
    yield _check(f"is an HDF5 file whose bytes are those that were written{known}", damaged)
    attrs = file.attrs
    other_schema = _schema_problems(attrs.get("schema"))
    yield _check("is of this version's schema", other_schema)
    if other_schema:
        return
    attributes, layout = attribute_problems(attrs), layout_problems(file.arrays)
    yield _check("has the attributes", attributes)
    yield _check("has the arrays, of the right types and shapes", layout)
    arrays, unreadable = _read_each(path, file)
    yield _check("every array can be read", unreadable)
    if attributes or layout or unreadable:
        return
    yield _check("the content has the digest that it was written with", _digest_problems(arrays, attrs))
    features = assemble_features(arrays, attrs)
    yield _check(
        "utterances: ids are unique, labels and splits known, spans possible, dialogues whole and in order",
        utterance_problems(features),
    )
    for name, modality in features.modalities.items():
        yield _check(
            f"{name}: features are finite, zero where not observed, each row is the one written",
            modality_problems(modality, features.id),
        )
        yield _check(f"{name}: the stored ranges are true", _range_problems(name, arrays))
    yield _check("the provenance is of these features", _provenance_problems(features))


def _check(name: str, problems: list[str]) -> Check:
    return Check(name, tuple(problems))


def _schema_problems(schema: Any) -> list[str]:
    if schema == SCHEMA:
        return []
    if not isinstance(schema, int):
        return ["it has no schema, so it is not a feature file"]
    word = "an older" if schema < SCHEMA else "a newer"
    return [f"it is of {word} schema, {schema}; this version reads {SCHEMA}: run dvc repro"]


def _read_each(path: Path, file: H5File) -> tuple[Arrays, list[str]]:
    """The arrays that can be read, and what is wrong with the others."""
    arrays: Arrays = {}
    damaged = []
    for name in file.arrays:
        try:
            arrays[name] = file.read(name)
        except DamagedFileError as error:
            damaged.append(f"{name} is damaged: {_reason(error, path)}")
    return arrays, damaged


def _reason(error: DamagedFileError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")


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
