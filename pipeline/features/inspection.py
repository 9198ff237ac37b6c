"""What a feature file holds, found without reading its features: a MELD has half a gigabyte of them.

Ranges come from the summary that the writer stored beside them; ``multiemo verify`` checks that
the summary is true.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.features.cautions import non_commercial, seen_labels
from pipeline.features.content import SPLITS, UNLABELLED
from pipeline.features.file import open_features
from pipeline.features.layout import list_modalities
from pipeline.features.pseudonymisation import REMOVED
from pipeline.store.h5 import CONTENT_SHA256, Arrays

_COLUMNS = ("split", "dialogue", "speaker", "label")
_SUMMARIES = ("observed", "reason", "minimum", "maximum", "feature_name")


@dataclass(frozen=True)
class SplitSummary:
    """Counts of one split, or of all of them together."""

    utterances: int
    dialogues: int
    speakers: int
    """Different names; unknown speakers do not count."""
    classes: dict[str, int]
    """Utterances of each emotion, in the order of the label numbers."""
    unlabelled: int


@dataclass(frozen=True)
class ModalitySummary:
    """One modality; ranges are over the utterances in which it was observed."""

    dimension: int
    observed: dict[str, int]
    """Utterances by split."""
    reasons: dict[str, int]
    """Utterances by why the modality was not observed, the most frequent first."""
    minimum: float | None
    """None if the modality was observed nowhere."""
    maximum: float | None
    constant_columns: list[int]
    """Features that have one value in the whole file."""
    constant_names: list[str]
    """What the extractor calls them; empty where it names no features."""
    encoder: str
    versions: dict[str, str]
    weights: dict[str, str]
    """Digests of the encoder's files, or how untrained weights were made."""
    settings: dict[str, Any]
    """The params that the features depend on."""
    seen_labels: tuple[str, ...]
    """Corpora whose labels the encoder was trained on, as far as that is known."""
    licence: str
    """Of the encoder's weights; empty where it is not told."""
    non_commercial: str
    """The licence that forbids commercial use; empty if none is known to."""


@dataclass(frozen=True)
class Inspection:
    """A feature file in figures and words."""

    path: str
    size_bytes: int
    modified: str
    """When the file was last written on this machine, ISO 8601; the content holds no time."""
    schema: int
    corpus: str
    content_sha256: str
    splits: dict[str, SplitSummary]
    """By split, and ``all``."""
    modalities: dict[str, ModalitySummary]
    removed: list[str]
    """What was taken out of the file before it was shared, in words."""


def inspect_features(path: Path) -> Inspection:
    """Look at a feature file; UserError if it is not a readable one of this version."""
    with open_features(path) as file:
        names = [name for name in file.arrays if name.split("/")[-1] in _COLUMNS + _SUMMARIES]
        arrays, attrs = {name: file.read(name) for name in names}, file.attrs
    status = path.stat()
    provenance = json.loads(attrs["provenance"])
    return Inspection(
        path=str(path),
        size_bytes=status.st_size,
        modified=datetime.fromtimestamp(status.st_mtime).astimezone().isoformat(timespec="seconds"),
        schema=int(attrs["schema"]),
        corpus=attrs["corpus"],
        content_sha256=attrs[CONTENT_SHA256],
        splits=_summarise_splits(arrays, json.loads(attrs["labels"])),
        modalities={name: _summarise_modality(name, arrays, provenance) for name in list_modalities(names)},
        removed=[str(what) for what in told] if isinstance(told := provenance.get(REMOVED), list) else [],
    )


def _summarise_splits(arrays: Arrays, labels: list[str]) -> dict[str, SplitSummary]:
    split, label = arrays["utterances/split"], arrays["utterances/label"]
    dialogue, speaker = arrays["utterances/dialogue"], arrays["utterances/speaker"]
    summaries = {}
    for name in (*SPLITS, "all"):
        rows = np.full(len(split), True) if name == "all" else split == name
        summaries[name] = SplitSummary(
            utterances=int(rows.sum()),
            dialogues=len(set(dialogue[rows].tolist())),
            speakers=len(set(speaker[rows].tolist()) - {""}),
            classes={text: int((label[rows] == number).sum()) for number, text in enumerate(labels)},
            unlabelled=int((label[rows] == UNLABELLED).sum()),
        )
    return summaries


def _summarise_modality(name: str, arrays: Arrays, provenance: dict[str, Any]) -> ModalitySummary:
    observed, split = arrays[f"{name}/observed"], arrays["utterances/split"]
    minimum, maximum = arrays[f"{name}/minimum"], arrays[f"{name}/maximum"]
    constant = np.flatnonzero(minimum == maximum)  # nothing is constant where nothing was observed: NaN
    names = arrays.get(f"{name}/feature_name", np.empty(0, object))
    source = provenance.get("sources", {}).get(name, {})
    settings = source.get("settings", {})
    encoder = provenance.get("encoders", {}).get(name, "not stated")
    versions, licence = source.get("versions", {}), str(source.get("licence", ""))
    has_range = bool(observed.any()) and len(minimum) > 0
    return ModalitySummary(
        dimension=len(minimum),
        observed={part: int(observed[split == part].sum()) for part in SPLITS} | {"all": int(observed.sum())},
        reasons=dict(Counter(arrays[f"{name}/reason"][~observed].tolist()).most_common()),
        minimum=float(minimum.min()) if has_range else None,
        maximum=float(maximum.max()) if has_range else None,
        constant_columns=constant.tolist(),
        constant_names=names[constant].tolist() if len(names) else [],
        encoder=encoder,
        versions=versions,
        weights=settings.get("weights", {}),
        settings={key: value for key, value in settings.items() if key != "weights"},
        seen_labels=seen_labels(encoder),
        licence=licence,
        non_commercial=non_commercial(licence, versions),
    )
