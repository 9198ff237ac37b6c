"""``multiemo export``: a feature file in the form that another codebase reads."""

from __future__ import annotations

import argparse
import importlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import SystemRandom

from pipeline.console.shared.modules import list_modules
from pipeline.errors import UserError
from pipeline.exports.shared.content import only_labelled
from pipeline.exports.shared.reduction import Reduction, fit_reduction, reduce_features, write_reduction
from pipeline.features.content import Features
from pipeline.features.file import read_features
from pipeline.features.pseudonymisation import (
    Key,
    models_named,
    pseudonymise,
    without_modality,
    without_text,
)
from pipeline.store.atomic import csv_text

EXPORTS = "pipeline.exports"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``multiemo export``."""
    exports = list_modules(EXPORTS)
    lines = "\n".join(f"  {name:<12} {line}" for name, line in exports.items())
    parser.description = (
        f"Write a feature file in the form that another codebase reads unchanged:\n{lines}\n"
        "docs/exports.md describes each, and what it was tried with."
    )
    parser.epilog = (
        "example:\n  multiemo export data/demo/features.h5 --to mmgcn --reduce audio=300 -o exports/demo"
    )
    parser.add_argument("file", type=Path, help="a features.h5")
    parser.add_argument("--to", choices=exports, required=True, metavar="NAME", help="one of the above")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="new or empty")
    parser.add_argument(
        "--reduce",
        type=_reduction,
        action="append",
        default=[],
        metavar="MODALITY=K",
        help="reduce a modality to K dimensions by PCA fitted on the training split, kept as"
        " reduction_<modality>.npz; may be given for several modalities",
    )
    parser.add_argument("--without-text", action="store_true", help="leave out what is said")
    parser.add_argument(
        "--drop",
        action="append",
        default=[],
        metavar="MODALITY",
        help="leave a modality out; may be repeated",
    )
    parser.add_argument(
        "--pseudonymise", type=Path, metavar="KEY.csv",
        help="random codes for speakers and dialogues, in a new order; KEY.csv, which only you can read, says"
        " whose they are and must lie elsewhere",
    )  # fmt: skip
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    folder: Path = arguments.output
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is not an empty folder; name a new one with -o")
    _check_key(arguments.pseudonymise, folder)
    twice = [name for name, count in Counter(name for name, _ in arguments.reduce).items() if count > 1]
    if twice:
        raise UserError(f"--reduce {twice[0]}: given more than once")
    export = importlib.import_module(f"{EXPORTS}.{arguments.to}")
    features, reductions = read_features(arguments.file), {}
    features, key = _remove(features, arguments)
    for name, dimension in arguments.reduce:
        features, reductions[name] = _reduce(features, name, dimension)
    exported = features if export.HOLDS_UNLABELLED else only_labelled(features)
    if key:  # first, as what is shared would be of no use to its owner without
        write_key(arguments.pseudonymise, key)
    try:
        lines = export.write(folder, exported)
    except BaseException as error:
        if key and not any(path.is_file() for path in folder.rglob("*")):  # codes that nothing has
            arguments.pseudonymise.unlink()
        if isinstance(error, OSError):
            raise UserError(
                f"{error.filename or folder}: cannot be written ({error.strerror or error})"
            ) from error
        raise
    for name, reduction in reductions.items():
        path = folder / f"reduction_{name}.npz"
        write_reduction(path, reduction)
        lines.append(f"{path.name}: {reduction}")
    if key:
        lines.append(f"{arguments.pseudonymise}: whose the codes are; keep it apart")
        if models := models_named(features.provenance):
            lines.append(f"models that the provenance names, which must be nobody's: {', '.join(models)}")
    print(f"{folder}: {len(exported)} utterances of {features.corpus} for {arguments.to}")
    for line in lines:
        print(f"  {line}")
    notes = [] if export.HOLDS_UNLABELLED else [*_losses(features, exported)]
    if hasattr(export, "notes"):
        notes += export.notes(exported)
    for note in notes:
        print(f"note: {note}")
    return 0


def _check_key(path: Path | None, folder: Path) -> None:
    """UserError for a key that lies with what it is the key of, or that would replace another."""
    if path is not None and path.resolve().is_relative_to(folder.resolve()):
        raise UserError(
            f"--pseudonymise {path}: lies in {folder}, with which it would be shared; name another"
        )
    if path is not None and path.exists():
        raise UserError(f"--pseudonymise {path}: is there already, and other codes may be known by it alone")


def _remove(features: Features, arguments: argparse.Namespace) -> tuple[Features, list[Key]]:
    """The features without what the user wants out of them, and the key to their codes if there are any."""
    for name in arguments.drop:
        if name not in features.modalities or len(features.modalities) == 1:
            stored = ", ".join(features.modalities)
            raise UserError(f"--drop {name}: the file has {stored}, of which one at least must stay")
        features = without_modality(features, name)
    if arguments.without_text:
        features = without_text(features)
    if arguments.pseudonymise is None:
        return features, []
    return pseudonymise(features, SystemRandom())


def write_key(path: Path, key: Sequence[Key]) -> None:
    """Write a key that its owner alone can read."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Never readable by others, not for a moment, and never what another process has put there.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(csv_text([Key._fields, *key]))
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error


def _reduce(features: Features, name: str, dimension: int) -> tuple[Features, Reduction]:
    if name not in features.modalities:
        stored = ", ".join(features.modalities)
        raise UserError(f"--reduce {name}={dimension}: the file has no {name} features (it has: {stored})")
    reduction = fit_reduction(features, name, dimension)
    return reduce_features(features, name, reduction), reduction


def _losses(features: Features, labelled: Features) -> Iterator[str]:
    """What an export that holds labelled utterances and their vectors alone cannot tell its reader."""
    if left_out := len(features) - len(labelled):
        yield f"{left_out} unlabelled utterances are left out: the export has no place for them"
    for name, modality in labelled.modalities.items():
        if absent := int((~modality.observed).sum()):
            yield f"{absent} utterances have zeros for {name}, which was not observed"


def _reduction(text: str) -> tuple[str, int]:
    match = re.fullmatch(r"(\w+)=([1-9]\d*)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r}: give a modality and its dimensions, such as audio=512")
    return match[1], int(match[2])
