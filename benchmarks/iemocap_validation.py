"""Which twelve dialogues of IEMOCAP are for validation, and how near their class shares are to the others'.

    python -m benchmarks.iemocap_validation /data/IEMOCAP_full_release

The rule: three dialogues of each of Sessions 1 to 4, in sessions 1 and 3 an improvised one of either actor
and a script, in 2 and 4 an improvised one and a script of either, so that six are improvised, and six have
the woman on the left.  It starts with the first by name, and makes the one exchange that brings the counts of
the classes nearest to a tenth of those of Sessions 1 to 4, the first by name of equals, until none does.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from pipeline.corpora.annotations.labels import IEMOCAP
from pipeline.corpora.iemocap import DEV_DIALOGUES, TEST_SESSION, read_iemocap

ODD = (("F", "impro"), ("M", "impro"), ("F", "script"))
EVEN = (("M", "impro"), ("F", "script"), ("M", "script"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="the folder that holds Session1 to Session5")
    counts: dict[str, Counter[str]] = {}
    for row in read_iemocap(parser.parse_args().root).annotations:
        if not row.utterance.dialogue.startswith(f"Ses0{TEST_SESSION}"):
            counts.setdefault(row.utterance.dialogue, Counter())[row.utterance.label] += 1
    chosen = choose({dialogue: np.array([c[label] for label in IEMOCAP]) for dialogue, c in counts.items()})
    everything, found = sum(counts.values(), Counter()), sum((counts[name] for name in chosen), Counter())
    print("class        Sessions 1 to 4   validation")
    for label in IEMOCAP:
        shares = (100 * part[label] / part.total() for part in (everything, found))
        print(f"{label:12s}" + "".join(f" {share:12.1f} %" for share in shares))
    print(f"{found.total()} of {everything.total()} utterances: {' '.join(chosen)}")
    if set(chosen) != DEV_DIALOGUES:
        raise SystemExit("these are not pipeline.corpora.iemocap.DEV_DIALOGUES")


def choose(counts: dict[str, np.ndarray]) -> list[str]:
    """The twelve dialogues, by session, of these class counts by dialogue."""
    target = sum(counts.values()) / 10
    slots = [
        [name for name in sorted(counts) if name.startswith(f"Ses0{session}{half}_{kind}")]
        for session in range(1, 5)
        for half, kind in (ODD if session % 2 else EVEN)
    ]

    def distance(names: list[str]) -> float:
        return float(np.abs(sum(counts[name] for name in names) - target).max())

    chosen = [slot[0] for slot in slots]
    while True:
        exchanged = [
            [*chosen[:place], name, *chosen[place + 1 :]] for place, slot in enumerate(slots) for name in slot
        ]
        best = min(exchanged, key=distance)  # the first of equals
        if distance(best) >= distance(chosen):
            return chosen
        chosen = best


if __name__ == "__main__":
    main()
