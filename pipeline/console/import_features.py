"""``multiemo import-features``: features that other programs wrote, as a feature file to join."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.console.shared.arguments import file_to_write
from pipeline.errors import UserError
from pipeline.features.file import read_features, write_features
from pipeline.features.importing import import_features, read_vectors
from pipeline.params import MODALITIES


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``multiemo import-features``."""
    parser.description = (
        "Make a feature file of vectors that other programs wrote: a folder of <utterance>.npy, each [D]\n"
        "or [T, D] (whose mean over time is taken); an .npz with an array for each utterance, or with\n"
        "id [N] and features [N, D]; or a .csv whose first column is the utterance. Utterances, labels and\n"
        "splits are those of a feature file of the corpus; a join in params.yaml puts both together\n"
        "(docs/encoders.md)."
    )
    parser.epilog = (
        "example:\n  multiemo import-features emotion2vec/ --utterances data/meld/features.h5 \\\n"
        "    --modality audio --encoder 'iic/emotion2vec_base, mean over time' -o meld_emotion2vec.h5"
    )
    parser.add_argument("source", type=Path, help="folder of .npy, .npz or .csv")
    parser.add_argument("--utterances", type=Path, required=True, metavar="FEATURES", help="a features.h5")
    parser.add_argument("--modality", choices=MODALITIES, required=True, help="what the vectors describe")
    parser.add_argument("--encoder", required=True, help="what made them, in words: model and pooling")
    parser.add_argument("-o", "--output", type=file_to_write(".h5"), required=True, help="file to write")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.output.resolve() == arguments.utterances.resolve():
        raise UserError(
            f"-o {arguments.output}: is the file of --utterances, which would be lost; name another"
        )
    imported = read_vectors(arguments.source)
    name, like = arguments.modality, read_features(arguments.utterances)
    features = import_features(like, name, imported, arguments.encoder, arguments.source)
    write_features(arguments.output, features)
    modality = features.modalities[name]
    print(
        f"{arguments.output}: {name} of {modality.observed.sum()} of {len(features)} utterances,"
        f" {modality.features.shape[1]} features by {arguments.encoder}"
    )
    if imported.averaged:
        print(f"{imported.averaged} were series, of which the mean over time was taken")
    if others := imported.vectors.keys() - set(features.id.tolist()):
        print(f"{len(others)} are no utterances of {features.corpus}, such as {min(others)}")
    print(
        "To train on it, write into params.yaml\n  joins:\n    NAME:"
        f" {{features: {arguments.utterances}, other: {arguments.output}, take: [{name}]}}"
    )
    return 0
