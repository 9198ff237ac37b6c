"""The console command ``multiemo``: one module of ``pipeline.commands`` for each subcommand."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from pipeline.commands import store
from pipeline.errors import UserError

COMMANDS = (store,)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; its exit status, 1 for a mistake the user can mend, 2 for a wrong call."""
    parser = argparse.ArgumentParser(
        prog="multiemo", description="Tools around the pipeline; `dvc repro` runs it."
    )
    commands = parser.add_subparsers(metavar="command", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    given = parser.parse_args(arguments)
    try:
        status: int = given.run(given)
        sys.stdout.flush()
    except UserError as error:
        print(f"multiemo: error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `multiemo store ls | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
