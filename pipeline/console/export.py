"""``multiemo export``: a feature file in the layout that another codebase reads."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import UserError
from pipeline.exports.content import only_labelled
from pipeline.exports.conversations import other_widths, write_dialoguernn, write_mmgcn, write_multiemo
from pipeline.exports.merbench import write_merbench
from pipeline.exports.reduction import fit_reduction, write_reduction
from pipeline.exports.sequences import write_mmsa
from pipeline.exports.tables import write_datasets, write_parquet
from pipeline.features.file import Features, read_features


@dataclass(frozen=True)
class Layout:
    """One layout; ``write(folder, features)`` returns what it wrote."""

    write: Callable[[Path, Features], list[str]]
    about: str
    unlabelled: bool = False
    """Whether it has a place for utterances without a label."""


LAYOUTS = {
    "multiemo": Layout(write_multiemo, "the MultiEMO authors' code: Data/<CORPUS>/, four pickles"),
    "dialoguernn": Layout(write_dialoguernn, "DialogueRNN and its kin on IEMOCAP: IEMOCAP_features.pkl"),
    "mmgcn": Layout(write_mmgcn, "MMGCN, MM-DFN: MELD_features_raw1.pkl, or IEMOCAP_features.pkl"),
    "mmsa": Layout(write_mmsa, "MMSA, as MMSA-FET writes: feature.pkl"),
    "merbench": Layout(write_merbench, "MERBench: features/*-UTT/ and label.npz"),
    "parquet": Layout(write_parquet, "train.parquet, dev.parquet, test.parquet", unlabelled=True),
    "datasets": Layout(write_datasets, "Hugging Face: a folder for load_from_disk", unlabelled=True),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``multiemo export``."""
    layouts = "\n".join(f"  {name:<12} {layout.about}" for name, layout in LAYOUTS.items())
    parser.description = (
        f"Write a feature file in the layout that another codebase reads unchanged:\n{layouts}\n"
        "docs/exports.md describes each, and what of it could not be checked."
    )
    parser.add_argument("file", type=Path, help="a features.h5")
    parser.add_argument("--to", choices=LAYOUTS, required=True, metavar="LAYOUT", help="one of the above")
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
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    folder: Path = given.output
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is not an empty folder; name a new one with -o")
    layout = LAYOUTS[given.to]
    twice = [name for name, count in Counter(name for name, _ in given.reduce).items() if count > 1]
    if twice:
        raise UserError(f"--reduce {twice[0]}: given more than once")
    features = read_features(given.file)
    written = []
    for name, dimension in given.reduce:
        features, note = _reduce(features, name, dimension, folder)
        written.append(note)
    whole = len(features)
    if not layout.unlabelled:
        features = only_labelled(features)
    written += layout.write(folder, features)
    print(f"{folder}: {len(features)} utterances of {features.corpus} for {given.to}")
    for line in written:
        print(f"  {line}")
    for note in _notes(given.to, layout, features, whole - len(features)):
        print(f"note: {note}")
    return 0


def _reduce(features: Features, name: str, dimension: int, folder: Path) -> tuple[Features, str]:
    if name not in features.modalities:
        stored = ", ".join(features.modalities)
        raise UserError(f"--reduce {name}={dimension}: the file has no {name} features (it has: {stored})")
    reduction = fit_reduction(features, name, dimension)
    path = folder / f"reduction_{name}.npz"
    write_reduction(path, reduction)
    reduced = reduction.apply(features.modalities[name])
    share = 100 * reduction.explained_variance_ratio.sum()
    return (
        replace(features, modalities=features.modalities | {name: reduced}),
        f"{path.name}: {len(reduction.mean)} to {dimension} dimensions, {share:.1f} % of the variance",
    )


def _notes(name: str, layout: Layout, features: Features, left_out: int) -> list[str]:
    notes = []
    if left_out:
        notes.append(f"{left_out} unlabelled utterances are left out: the layout has no place for them")
    for modality, values in features.modalities.items():
        absent = int((~values.observed).sum())
        if absent and not layout.unlabelled:
            notes.append(f"{absent} utterances have zeros for {modality}, which was not observed")
    if name == "multiemo":
        for modality, width in other_widths(features).items():
            found = features.modalities[modality].features.shape[1]
            way_out = f"--reduce {modality}={width}, or " if found > width else ""
            way_out += "change it there"
            notes.append(f"{modality} has {found} dimensions, and the authors' code says {width}: {way_out}")
    return notes


def _reduction(text: str) -> tuple[str, int]:
    match = re.fullmatch(r"(\w+)=([1-9]\d*)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r}: give a modality and its dimensions, such as audio=512")
    return match[1], int(match[2])
