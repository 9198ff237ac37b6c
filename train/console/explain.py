"""``multiemo explain``: what a trained model attends to when it reads one utterance."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipeline.console.shared.arguments import file_to_write


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``multiemo explain``."""
    parser.description = (
        "Draw the attention of each component of MultiAttn for one utterance: how much it takes from each\n"
        "utterance of the dialogue, by layer and by the modality that it looks at. The mean over the heads\n"
        "is shown; the brighter, the more. Hatched: not observed, so it cannot be attended to."
    )
    parser.epilog = (
        "example:\n  multiemo explain data/demo/features.h5 --model data/models/demo/model"
        " --utterance test_dia0_utt2 -o a.png"
    )
    parser.add_argument("features", type=Path, help="a features.h5")
    parser.add_argument("--model", type=Path, required=True, help="folder of a trained model")
    parser.add_argument("--utterance", required=True, metavar="ID", help="such as test_dia0_utt2")
    parser.add_argument("--seed", type=int, help="one of the model's seeds (default: its first)")
    parser.add_argument(
        "-o", "--output", type=file_to_write(".png"), required=True, help="the PNG file to write"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from train.explanation import explain_utterance  # brings torch, for which --help need not wait

    said, notes = explain_utterance(
        arguments.features, arguments.model, arguments.utterance, arguments.seed, arguments.output
    )
    print(f"{arguments.output}: {arguments.utterance} {said}")
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return 0
