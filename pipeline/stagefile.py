"""What the extraction stages hand on: one HDF5 file each, with the reasons for what is absent.

Every file names its utterances (``id`` [N]), says which were not observed (``reason`` [N], empty
where observed) and which item each dialogue came from (``dialogue`` [M], ``item_key`` [M]).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.extraction import Item
from pipeline.h5 import Arrays, DamagedFileError, read_h5, write_h5


def write_stage_file(
    path: Path,
    ids: Sequence[str],
    items: Sequence[Item],
    arrays: Mapping[str, np.ndarray],
    provenance: Mapping[str, Any],
) -> None:
    """Write a stage's arrays with the ids, dialogues and item keys that they belong to."""
    head = {
        "id": np.array(ids, dtype=str),
        "dialogue": np.array([item.dialogue for item in items], dtype=str),
        "item_key": np.array([item.key for item in items], dtype=str),
    }
    write_h5(
        path, {**head, **arrays}, {"provenance": json.dumps(provenance, sort_keys=True, ensure_ascii=False)}
    )


def read_stage_file(path: Path, ids: Sequence[str]) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and provenance; UserError unless the file is sound and holds exactly these utterances."""
    try:
        arrays, attrs = read_h5(path)
    except (FileNotFoundError, DamagedFileError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run dvc repro, which makes it") from None
    if arrays["id"].tolist() != list(ids):
        raise UserError(f"{path}: holds other utterances than the manifest; run dvc repro")
    return arrays, json.loads(attrs["provenance"])


def write_unused(stage: str, corpus: str) -> None:
    """Stand in for the result of a stage whose modality the corpus does without."""
    write_stage_file(Path("data", corpus, f"{stage}.h5"), [], [], {}, {})
    print(f"{stage}: nothing to do, corpora.{corpus}.modalities leaves its modality out")


def no_vectors(dimension: int) -> Arrays:
    """Zero rows of what a stage with one vector per utterance makes: features [0, D], reason [0]."""
    return {"features": np.empty((0, dimension), np.float32), "reason": np.empty(0, str)}
