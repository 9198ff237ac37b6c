"""Damaged and hostile input by the thousand: python -m benchmarks.fuzz TARGET SECONDS [SEED]

A target is a module of this package, such as ``features``.  Prints tried and failed, keeps failing inputs in
fuzz/<target>/<seed>/, and ends with status 1 if any failed.
"""

from __future__ import annotations

import sys

from benchmarks.fuzz.trying import KEPT, fuzz


def main(target: str, seconds: str, seed: str = "0") -> int:
    """Print what became of the inputs; the exit status."""
    result = fuzz(f"benchmarks.fuzz.{target}", float(seconds), int(seed))
    for number, failure in sorted(result.failures.items()):
        print(f"{target}: seed {number} FAILED: {failure.strip().splitlines()[-1]}")
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(result.outcomes.items()))
    print(
        f"{target}: {result.tried} tried from seed {seed} on, {len(result.failures)} failed ({outcomes});"
        f" the slowest took {result.slowest_s:.1f} s, the largest {result.most_bytes / 1e9:.2f} GB"
    )
    if result.failures:
        print(f"{target}: failing inputs are in {KEPT / target}")
    return 1 if result.failures else 0


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
