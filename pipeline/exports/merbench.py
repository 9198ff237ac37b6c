"""MERBench: ``features/<modality>-UTT/`` with a file for each utterance, and ``label.npz``.

    features/<modality>-UTT/<id>.npy     float32 [D], zero where not observed
    label.npz                            train_corpus, val_corpus, test_corpus:
                                         {id: {emo: number of the class, val: -10}}

For IEMOCAP the labels are ``label_6way.npz`` with all utterances in ``whole_corpus``, since MERBench
splits it by session.  Validation ids begin with ``val_`` for MELD, and its classes are numbered as
MERBench does, which is not how the feature file does.  An id that cannot be a file's name is changed in
both places.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.exports.shared.content import is_iemocap, is_meld
from pipeline.exports.shared.file_names import file_name, renaming_notes
from pipeline.exports.shared.pickles import pickle_bytes
from pipeline.features.content import Features
from pipeline.store.atomic import write_atomically

HOLDS_UNLABELLED = False

MELD_CLASSES = ("anger", "joy", "sadness", "neutral", "disgust", "fear", "surprise")
"""In the order of MERBench's numbers."""

NO_VALENCE = -10
"""What MERBench writes where an utterance has no valence."""

CORPORA = {"train": "train_corpus", "dev": "val_corpus", "test": "test_corpus"}


def write(folder: Path, features: Features) -> list[str]:
    """Write the folders of MERBench for the modalities that there are."""
    ids = _ids(features)
    written = []
    for name, modality in features.modalities.items():
        place = Path("features", f"{name}-UTT")
        (folder / place).mkdir(parents=True, exist_ok=True)
        for utterance, vector in zip(ids, modality.features, strict=True):
            np.save(folder / place / f"{utterance}.npy", vector)
        written.append(f"{place}/ ({len(ids)} files)")
    labels = "label_6way.npz" if is_iemocap(features) else "label.npz"
    write_atomically(folder / labels, _npz(_corpora(features, ids)))
    return [*written, labels]


def notes(features: Features) -> Iterator[str]:
    """Ids that are no file's name."""
    return renaming_notes(features.id)


def _ids(features: Features) -> list[str]:
    names = map(file_name, features.id)
    if not is_meld(features):
        return [*names]
    return [f"val_{name.removeprefix('dev_')}" if name.startswith("dev_") else name for name in names]


def _corpora(features: Features, ids: list[str]) -> dict[str, dict[str, Any]]:
    numbering = MELD_CLASSES if is_meld(features) else features.label_names
    corpora: dict[str, dict[str, Any]] = {}
    if not is_iemocap(features):
        corpora = {name: {} for name in CORPORA.values()}
    for utterance, split, label in zip(ids, features.split, features.label, strict=True):
        corpus = "whole_corpus" if is_iemocap(features) else CORPORA[split]
        number = numbering.index(features.label_names[label])
        corpora.setdefault(corpus, {})[utterance] = {"emo": number, "val": NO_VALENCE}
    return corpora


def _npz(corpora: dict[str, dict[str, Any]]) -> bytes:
    """What ``numpy.savez`` would write of the dicts as arrays of one object, readable by any NumPy."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, corpus in corpora.items():
            member = io.BytesIO()
            array = np.array(corpus, dtype=object)
            np.lib.format.write_array_header_1_0(member, np.lib.format.header_data_from_array_1_0(array))
            # A ZipInfo of its own has a fixed date: the same labels give the same bytes.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue() + pickle_bytes(array))
    return content.getvalue()
