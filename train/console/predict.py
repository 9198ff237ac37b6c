"""``multiemo predict``: a trained model's emotions for a feature file, labelled or not."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipeline.console.shared.arguments import file_to_write
from pipeline.transcripts.predicted import writers


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``multiemo predict``."""
    parser.description = (
        "Predict the emotion of every utterance of a feature file, with probabilities: the mean over the\n"
        "model's seeds. The features must come from the same encoders as those that the model was trained\n"
        "on; docs/commands.md says how to make such a file of your own recordings. By its ending FILE is\n"
        "a table, or for ELAN, players or Praat; of several films those are in a folder of its name."
    )
    parser.epilog = (
        "example:\n  multiemo predict data/mine/features.h5 --model data/models/demo/model -o predictions.csv"
    )
    suffixes = (".csv", *writers())
    parser.add_argument("features", type=Path, help="a features.h5; labels are not needed")
    parser.add_argument("--model", type=Path, required=True, help="folder of a trained model")
    parser.add_argument(
        *("-o", "--output"), type=file_to_write(*suffixes), required=True, metavar="FILE",
        help=f"what to write, by its ending: {', '.join(suffixes)}",
    )  # fmt: skip
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from train.prediction import predict_file  # brings torch, for which --help need not wait

    prediction = predict_file(arguments.features, arguments.model, arguments.output)
    print(f"{arguments.output}: {prediction.summary}", *prediction.scores, sep="\n")
    for note in prediction.notes:
        print(f"note: {note}", file=sys.stderr)
    return 0
