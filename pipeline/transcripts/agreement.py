"""Raters' votes: which label wins, and how far the raters agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence


def majority(votes: Iterable[str]) -> str:
    """The label that more than half of the votes are for; empty where there is none.

    >>> majority(["joy", "joy", "anger"]), majority(["joy", "anger"]), majority(["", "joy"])
    ('joy', '', 'joy')
    """
    cast = [vote for vote in votes if vote]
    label, count = Counter(cast).most_common(1)[0] if cast else ("", 0)
    return label if 2 * count > len(cast) else ""


def krippendorff_alpha(units: Iterable[Sequence[str]]) -> float | None:
    """Agreement of raters beyond chance on nominal labels: 1 is all of it, 0 that of chance.

    ``units`` are the votes on each utterance; an empty vote is none.  None where nothing can be compared.
    (Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011, section C.)
    """
    values: Counter[str] = Counter()
    disagreements = 0.0
    for unit in units:
        votes = Counter(vote for vote in unit if vote)
        total = votes.total()
        if total > 1:
            values += votes
            disagreements += sum(count * (total - count) for count in votes.values()) / (total - 1)
    total = values.total()
    expected = sum(count * (total - count) for count in values.values())
    return 1 - (total - 1) * disagreements / expected if expected else None
