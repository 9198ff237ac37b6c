"""``multiemo verify``: every check of a feature file with its result, line by line."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.errors import shorten
from pipeline.features.verification import verify_features


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``multiemo verify``."""
    parser.description = (
        "Check that a feature file is what was written and keeps the rules of the format. Reads all of it.\n"
        "Exit status 0 if every check passed, else 1."
    )
    parser.epilog = "example:\n  multiemo verify data/demo/features.h5"
    parser.add_argument("file", type=Path, help="a features.h5")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    failed = 0
    for check in verify_features(arguments.file):
        print(f"{'ok    ' if check.passed else 'FAILED'}  {check.name}")
        for problem in check.problems:
            print(f"          {shorten(problem)}")
        failed += not check.passed
    way_out = "make it again with dvc repro, or fetch it with dvc pull"
    print(f"{arguments.file} is NOT sound: {way_out}" if failed else f"{arguments.file} is sound")
    return 1 if failed else 0
