"""Run one stage: ``python -m stages <stage> [entry]``, from the folder that holds dvc.yaml.

The entry is one of params.yaml: of corpora, joins or models, as the stage has it.

The stage's module is imported under its own name, not as ``__main__``, so that worker processes
find its functions; and only that module is imported, so that a stage loads nothing it does not use.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from pathlib import Path

from pipeline.errors import UserError, disk_trouble, was_interrupted
from pipeline.runtime import printing_whatever_comes
from pipeline.store.code import code_digest, modules_in, newest_change_ns
from pipeline.work.lifetime import stopped_by_signals

# How often a thread of PyTorch's looks whether the others are done before it sleeps. By default it looks for
# milliseconds, and training takes 20 times as long where others use the cores too.
SPINS = "5000"


@printing_whatever_comes()
def main(arguments: list[str]) -> int:
    """Run the stage that the arguments name; exit status 1 for a mistake the user can mend."""
    stage, *rest = arguments or [""]
    stages = modules_in("stages")
    if stage not in stages:
        print(f"usage: python -m stages <{'|'.join(stages)}> [entry of params.yaml]", file=sys.stderr)
        return 2
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)  # read when PyTorch is loaded
    try:
        with stopped_by_signals():
            run = importlib.import_module(f"stages.{stage}").main
            takes = len(inspect.signature(run).parameters)
            if len(rest) != takes:
                print(f"stage {stage} takes {'an entry' if takes else 'no entry'}", file=sys.stderr)
                return 2
            # Once it is loaded: what is edited from now on is not what runs.
            if "DVC_STAGE" in os.environ and stage != "code":
                _check_code(stage)
            run(*rest)
    except UserError as error:
        print(f"{stage}: error: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, Exception) as error:
        if was_interrupted(error):
            print(f"\n{stage}: stopped; dvc repro goes on from what is kept", file=sys.stderr)
            return 130
        trouble = disk_trouble(error)
        if not trouble:
            raise
        print(f"{stage}: error: {trouble}", file=sys.stderr)
        return 1
    return 0


def _check_code(stage: str) -> None:
    """UserError where the code is not that for whose result DVC will take this run's."""
    path = Path("data", "code", f"{stage}.txt")
    if newest_change_ns() <= path.stat().st_mtime_ns:
        return
    if path.read_text(encoding="utf-8").strip() != code_digest("stages.__main__", f"stages.{stage}"):
        raise UserError(f"{path}: the code has changed since dvc repro began; run it again")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
