"""Run one stage: ``python -m stages <stage> [corpus]``, from the folder that holds dvc.yaml.

The stage's module is imported under its own name, not as ``__main__``, so that worker processes
find its functions; and only that module is imported, so that a stage loads nothing it does not use.
"""

from __future__ import annotations

import importlib
import sys

from pipeline.errors import UserError
from pipeline.lifetime import stopped_by_signals

STAGES = (
    *("params", "demo", "manifest"),
    *("faces", "visual", "audio", "finetune", "text", "features"),
    *("train", "evaluate", "report"),
)

WITHOUT_CORPUS = ("params", "demo")


def main(arguments: list[str]) -> int:
    """Run the stage that the arguments name; exit status 1 for a mistake the user can mend."""
    stage, *rest = arguments or [""]
    if stage not in STAGES or len(rest) != (stage not in WITHOUT_CORPUS):
        print(f"usage: python -m stages <{'|'.join(STAGES)}> <corpus>", file=sys.stderr)
        print(f"({' and '.join(WITHOUT_CORPUS)} take no corpus)", file=sys.stderr)
        return 2
    try:
        with stopped_by_signals():
            importlib.import_module(f"stages.{stage}").main(*rest)
    except UserError as error:
        print(f"{stage}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            f"\n{stage}: stopped; finished dialogues are kept, dvc repro goes on from there", file=sys.stderr
        )
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
