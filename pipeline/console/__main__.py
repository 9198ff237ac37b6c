"""The console command ``multiemo``: one module for each subcommand, imported when it is called.

So ``multiemo inspect`` starts without torch, and this module names ``train`` without importing it.
Exit status: 0 done, 1 a problem was found or the input was bad, 2 a wrong call, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import UserError


@dataclass(frozen=True)
class Command:
    """A subcommand; its module's ``configure(parser)`` adds the arguments and sets ``run``."""

    module: str
    help: str
    """One line for the list of commands."""
    example: str


COMMANDS = {
    "inspect": Command(
        "pipeline.console.inspect",
        "say what a feature file holds and how it was made",
        "multiemo inspect data/demo/features.h5",
    ),
    "verify": Command(
        "pipeline.console.verify",
        "check a feature file; status 1 if anything is wrong with it",
        "multiemo verify data/demo/features.h5",
    ),
    "export": Command(
        "pipeline.console.export",
        "write features in the layout that another codebase reads",
        "multiemo export data/demo/features.h5 --to mmgcn --reduce audio=300 -o exports/demo",
    ),
    "predict": Command(
        "train.console.predict",
        "emotions of a feature file by a trained model",
        "multiemo predict data/mine/features.h5 --model data/demo/model -o predictions.csv",
    ),
    "explain": Command(
        "train.console.explain",
        "draw what a trained model attends to for one utterance",
        "multiemo explain data/demo/features.h5 --model data/demo/model --utterance test_dia0_utt2 -o a.png",
    ),
    "store": Command(
        "pipeline.console.store",
        "look after the item store",
        "multiemo store prune --unreachable --older-than 30d",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; its exit status."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return _run(arguments)
    except UserError as error:
        print(f"multiemo: error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `multiemo store ls | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def _run(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="multiemo",
        description="Tools around the pipeline; `dvc repro` runs it.",
        epilog="`multiemo COMMAND --help` explains a command and gives an example.",
    )
    commands = parser.add_subparsers(metavar="command", required=True)
    called = next((name for name in arguments if not name.startswith("-")), None)
    for name, command in COMMANDS.items():
        own = commands.add_parser(
            name,
            help=command.help,
            epilog=f"example:\n  {command.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == called:
            importlib.import_module(command.module).configure(own)
    given = parser.parse_args(arguments)
    status: int = given.run(given)
    sys.stdout.flush()
    return status


if __name__ == "__main__":
    sys.exit(main())
