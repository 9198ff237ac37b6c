"""``multiemo verify``: every check of a feature file with its result, line by line."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.features.verification import verify_features


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``multiemo verify``."""
    parser.description = (
        "Check that a feature file is what was written and keeps the rules of the format. Reads all of it.\n"
        "Exit status 0 if every check passed, else 1."
    )
    parser.add_argument("file", type=Path, help="a features.h5")
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    failed = 0
    for check in verify_features(given.file):
        print(f"{'ok    ' if check.passed else 'FAILED'}  {check.name}")
        for problem in check.problems:
            print(f"          {problem}")
        failed += not check.passed
    way_out = "make it again with dvc repro, or fetch it with dvc pull"
    print(f"{given.file} is NOT sound: {way_out}" if failed else f"{given.file} is sound")
    return 1 if failed else 0
