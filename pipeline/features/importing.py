"""Features that other programs wrote, as a modality of a feature file.

A folder of ``<utterance>.npy`` (MERTools, EmoBox), an ``.npz`` with an array for each utterance or with
``id`` [N] and ``features`` [N, D], or a ``.csv`` whose first column is the utterance and whose others are
features by name.  Nothing is unpickled.
"""

from __future__ import annotations

import csv
import difflib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tokenize import TokenError
from typing import Any
from unicodedata import normalize
from zipfile import BadZipFile

import numpy as np

from pipeline.errors import UserError
from pipeline.features.content import Features, ModalityFeatures
from pipeline.store.keys import file_digest, listing_digest

SHOWN = 3
NOT_FINITE = "imported values are no finite numbers"
UNREADABLE = (OSError, ValueError, EOFError, BadZipFile, RuntimeError, zlib.error, TokenError)
"""What NumPy lets through of a damaged file: zip raises RuntimeError for what seems encrypted or newer."""


@dataclass(frozen=True)
class Imported:
    """Vectors by utterance."""

    vectors: dict[str, np.ndarray]
    """float32 [D]"""
    averaged: int
    """How many were series [T, D], whose mean over time was taken."""
    header: tuple[str, ...]
    """The first line of a table: any word, and the features' names.  Empty where there is no table."""
    sha256: str
    """Of the file; of a folder over the lines ``<SHA-256>  <name>`` of its files, by name."""


def read_vectors(path: Path) -> Imported:
    """Everything in a folder or table; UserError, naming file and utterance, where it is not as above."""
    header: tuple[str, ...] = ()
    arrays: Iterable[tuple[str, np.ndarray]]  # one at a time: series of all utterances would fill the memory
    if path.is_dir():
        files = sorted(path.glob("*.npy"))
        # macOS takes letters and their accents apart.
        arrays = ((normalize("NFC", file.stem), _load(file)) for file in files)
        digest = listing_digest({file.name: file_digest(file) for file in files})
    elif path.suffix == ".npz":
        arrays, digest = _read_npz(path), file_digest(path) if path.is_file() else ""
    elif path.suffix == ".csv":
        table, header = _read_csv(path)
        arrays, digest = table.items(), file_digest(path)
    else:
        raise UserError(f"{path}: is neither a folder of <utterance>.npy nor a .npz or .csv file")
    vectors, averaged = {}, 0
    for utterance, array in arrays:
        if array.ndim not in (1, 2) or not array.size or array.dtype.kind not in "fiu":
            shape = "x".join(map(str, array.shape))
            raise UserError(
                f"{path}: {utterance}: is {shape or 'one'} of {array.dtype}, and neither [D] nor [T, D]"
                " numbers"
            )
        averaged += array.ndim == 2
        # What is too large becomes infinite, and is no observation.
        with np.errstate(over="ignore", invalid="ignore"):
            vector = array.astype(np.float64).mean(axis=0) if array.ndim == 2 else array
            vectors[utterance] = vector.astype(np.float32)
    if not vectors:
        raise UserError(f"{path}: holds no features; a folder should have a file <utterance>.npy for each")
    widths = {len(vector): utterance for utterance, vector in reversed(vectors.items())}
    if len(widths) > 1:
        told = ", ".join(f"{width} of {utterance}" for width, utterance in widths.items())
        raise UserError(f"{path}: vectors differ in length: {told}")
    return Imported(vectors, averaged, header, digest)


def import_features(like: Features, modality: str, imported: Imported, encoder: str, path: Path) -> Features:
    """The utterances of ``like`` with the imported vectors as their only modality.

    What was not imported is not observed.  UserError where no utterance was.
    """
    ids = [str(utterance) for utterance in like.id]
    if imported.header and imported.header[0] in ids:
        raise UserError(f"{path}: its first line is of utterance {imported.header[0]}: give it a header")
    known = [utterance for utterance in ids if utterance in imported.vectors]
    if not known:
        first = next(iter(imported.vectors))
        close = difflib.get_close_matches(first, ids, n=1) or ids[:1]
        raise UserError(
            f"{path}: none of its {len(imported.vectors)} names is an utterance of {like.corpus};"
            f" it has {first}, the corpus {close[0]}: rename them"
        )
    dimension = len(next(iter(imported.vectors.values())))
    vectors = np.zeros((len(ids), dimension), np.float32)
    reasons = np.full(len(ids), "not among the imported", object)
    for row, utterance in enumerate(ids):
        vector = imported.vectors.get(utterance)
        if vector is not None:
            finite = bool(np.isfinite(vector).all())
            vectors[row], reasons[row] = (vector, "") if finite else (0, NOT_FINITE)
    names = np.array(imported.header[1:], object) if imported.header[1:] else None
    source: dict[str, Any] = {
        "encoder": encoder,
        "versions": {},
        "imported": {"name": path.name, "sha256": imported.sha256},
    }
    return replace(
        like,
        modalities={modality: ModalityFeatures(vectors, reasons == "", reasons, feature_name=names)},
        provenance=like.provenance | {"encoders": {modality: encoder}, "sources": {modality: source}},
        digest="",
    )


def _load(path: Path) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except UNREADABLE as error:
        raise UserError(f"{path}: cannot be read ({error}); objects are not unpickled") from None
    if not isinstance(array, np.ndarray):
        raise UserError(f"{path}: is no single array")
    return array


def _read_npz(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            if {*file.files} != {"id", "features"}:
                yield from ((name, file[name]) for name in file.files)
                return
            ids, features = file["id"], file["features"]
    except UNREADABLE as error:
        raise UserError(f"{path}: cannot be read ({error}); objects are not unpickled") from None
    if ids.dtype.kind != "U" or ids.ndim != 1 or features.ndim != 2 or len(ids) != len(features):
        raise UserError(f"{path}: id should be text [N] and features [N, D]")
    yield from _by_utterance(path, zip(ids.tolist(), features, strict=True)).items()


def _read_csv(path: Path) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    def rows(file: Any, columns: int) -> Iterator[tuple[str, np.ndarray]]:
        for number, row in enumerate(file, start=2):
            if not any(map(str.strip, row)):  # as spreadsheets leave below a table
                continue
            try:
                vector = np.array([float(value) for value in row[1:]])
            except ValueError as error:
                raise UserError(f"{path}: line {number}: {error}") from None
            if len(vector) != columns:
                raise UserError(f"{path}: line {number}: {len(row)} columns, and the first has {columns + 1}")
            yield row[0], vector

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.reader(file)
            header = tuple(next(table, []))
            if len(header) == 1 and (separator := next((each for each in ";\t" if each in header[0]), None)):
                raise UserError(f"{path}: separates its cells by {separator!r}; save it with commas")
            return _by_utterance(path, rows(table, max(len(header) - 1, 0))), header
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None


def _by_utterance(path: Path, rows: Any) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for utterance, vector in rows:
        if utterance in found:
            raise UserError(f"{path}: {utterance} is there more than once")
        found[utterance] = vector
    return found
