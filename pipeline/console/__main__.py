"""The console command ``multiemo``: finds the subcommands and imports the module of the one that is called.

So ``multiemo inspect`` starts without torch, and this module names ``train`` and ``stages`` without importing
them.
Exit status: 0 done, 1 a problem was found or the input was bad, 2 a wrong call, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from functools import partial

from pipeline.console.shared.modules import list_modules
from pipeline.errors import UserError, causes, disk_trouble
from pipeline.runtime import printing_whatever_comes

PACKAGES = ("pipeline.console", "train.console", "stages.console")


@printing_whatever_comes()
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
    except (KeyboardInterrupt, Exception) as error:
        if any(isinstance(each, KeyboardInterrupt) for each in causes(error)):
            return 130
        trouble = disk_trouble(error)
        if not trouble:
            raise
        print(f"multiemo: error: {trouble}", file=sys.stderr)
        return 1


def _run(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="multiemo",
        description="Tools around the pipeline; `dvc repro` runs it.",
        formatter_class=partial(argparse.HelpFormatter, width=100),
        epilog="`multiemo COMMAND --help` explains a command and gives an example.",
    )
    subparsers = parser.add_subparsers(metavar="command", required=True)
    called = next((word for word in arguments if not word.startswith("-")), None)
    modules = {name: (package, line) for package in PACKAGES for name, line in list_modules(package).items()}
    for module, (package, line) in sorted(modules.items()):
        name = module.replace("_", "-")
        own = subparsers.add_parser(
            name,
            help=line.removeprefix(f"multiemo {name}: "),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == called:
            importlib.import_module(f"{package}.{module}").configure(own)
    parsed = parser.parse_args(arguments)
    status: int = parsed.run(parsed)
    sys.stdout.flush()
    return status


if __name__ == "__main__":
    sys.exit(main())
