"""What to write in place of the keys that params.yaml had in version 0.1."""

from __future__ import annotations

import re
from typing import Any

_FIRST_VERSION = "it is of version 0.1, and has these keys that stand elsewhere now (docs/upgrading.md):"
_INSTEAD = [
    (re.compile(pattern), line)
    for pattern, line in (
        (r"defaults", "defaults: delete it; a block that is {} has the defaults of pipeline/params.py"),
        (
            r"corpora\.[^.]+\.train",
            "corpora.<name>.train: write models: {<name>: {features: data/<name>/features.h5, ...}}; there"
            " context, fusion, layers, heads, dropout, loss, sizes stand in network: {kind: multiemo, ...}",
        ),
        (
            r"corpora\.[^.]+\.report\.study",
            "corpora.<name>.report.study: delete it; compare shows all models",
        ),
        (
            r"corpora\.[^.]+\.visual\.(architecture|weights|layout|sha256|seed|output|precision)",
            "corpora.<name>.visual: write encoder: {kind: resnet, architecture: ..., weights: ...,"
            " sha256: ..., seed: ..., output: ..., precision: ...}; what was layout is naming there",
        ),
        (
            r"corpora\.[^.]+\.visual\.features_(file|sha256)",
            "corpora.<name>.visual.features_file: write joins: {<join>: {features: data/<name>/features.h5,"
            " other: <that file>, take: [visual]}}, and a model with features: data/joined/<join>.h5",
        ),
        (
            r"corpora\.[^.]+\.audio\.(feature_set|level|sample_rate_hz)",
            "corpora.<name>.audio: write encoder: {kind: opensmile, feature_set: ..., level: ...}",
        ),
        (
            r"corpora\.[^.]+\.finetune\.(encoder|revision|untrained)",
            "corpora.<name>.finetune: write text: {encoder: {kind: transformers, weights: ..., revision: ...,"
            " untrained: ...}}; what was encoder is weights there",
        ),
        (
            r"corpora\.[^.]+\.outside_media",
            "corpora.<name>.outside_media: write format: {kind: table, outside_media: true}",
        ),
    )
]


def explain_outdated(content: Any) -> list[str]:
    """Lines on the keys that stand elsewhere now, headed by one that says so; none if there are none."""
    present = _keys(content)
    lines = [line for pattern, line in _INSTEAD if any(pattern.fullmatch(each) for each in present)]
    return [_FIRST_VERSION, *lines] if lines else []


def _keys(raw: Any) -> list[str]:
    """Keys of the first four levels, joined by dots."""
    found, level = [], [("", raw)]
    for _ in range(4):
        level = [
            (f"{path}.{key}" if path else str(key), value)
            for path, content in level
            if isinstance(content, dict)
            for key, value in content.items()
        ]
        found += [path for path, _ in level]
    return found
