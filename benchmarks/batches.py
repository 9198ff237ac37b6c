"""What SWFC's memory brings to small batches: F1 of MELD's rare classes by batch size, with and without.

    python -m benchmarks.batches MELD VIEWS [--seeds 3] [--runs batches.jsonl]

MELD and VIEWS are those of benchmarks.recipes.  The network is the default's on the text view alone; a batch
of eight dialogues has seldom two utterances of fear or disgust, so that SWFC has no positives for them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.recipes import loss, run_all, spread
from benchmarks.views import features_of_views

BATCHES, MEMORIES = (8, 32, 100), (0, 1000)
RARE = ("fear", "disgust")


def main(meld: Path, views: Path, seeds: int, kept: Path) -> None:
    entries = {
        f"{batch} dialogues, memory of {memory}": entry(batch, memory)
        for batch in BATCHES
        for memory in MEMORIES
    }
    entries["100 dialogues, no SWFC"] = entry(100, 0) | loss(swfc_weight=0.0)
    runs = run_all([features_of_views(meld, views)] * seeds, entries, kept)
    print(f"\n| | dev | test | {' | '.join(RARE)} |\n|---|---|---|{'---|' * len(RARE)}")
    for row in entries:
        own = [run for run in runs if run["row"] == row]
        rare = [spread([run["test by class"][name] for run in own]) for name in RARE]
        scores = [spread([run[split] for run in own]) for split in ("dev", "test")]
        print(f"| {' | '.join([row, *scores, *rare])} |")


def entry(batch_dialogues: int, memory_utterances: int) -> dict[str, Any]:
    """Of params.yaml."""
    return {
        "modalities": ["text"],
        "batch_dialogues": batch_dialogues,
        **loss(memory_utterances=memory_utterances),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("meld", type=Path)
    parser.add_argument("views", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("data/batches.jsonl"))
    given = parser.parse_args()
    main(given.meld, given.views, given.seeds, given.runs)
