"""What a corpus holds, in figures: manifest.json and the plots beside it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import reading_output
from pipeline.features.content import SPLITS
from pipeline.manifest import Medium, Utterance
from pipeline.store.atomic import write_csv, write_text

# Clips outside this range are cut wrongly more often than not (in MELD, by the hundredfold).
USUAL_DURATION_S = (0.2, 30.0)
LONGEST_PLOTTED_S = 15
NO_LABEL = "(unlabelled)"


def write_summary(
    folder: Path,
    utterances: Sequence[Utterance],
    media: Sequence[Medium],
    notes: Mapping[str, int],
    remarks: Sequence[str],
) -> None:
    """Write ``manifest.json``, ``plots/classes.csv`` and ``plots/durations.csv`` of a corpus's folder.

    ``notes`` and ``remarks`` as in corpora.annotations.corpus.Corpus.
    """
    summary = summarise(utterances, media, notes) | {"remarks": list(remarks)}
    text = json.dumps(summary, indent=2, ensure_ascii=False)
    write_text(folder / "manifest.json", text + "\n")
    _write_counts(
        folder / "plots" / "classes.csv",
        "class",
        [(row.split, row.label or NO_LABEL) for row in utterances],
    )
    seconds = [*map(str, range(LONGEST_PLOTTED_S)), f"{LONGEST_PLOTTED_S} or more"]
    _write_counts(
        folder / "plots" / "durations.csv",
        "duration_s",
        [
            (utterance.split, seconds[min(int(duration_s(medium)), LONGEST_PLOTTED_S)])
            for utterance, medium in zip(utterances, media, strict=True)
            if medium.duration_s
        ],
        values=seconds,
    )


def read_remarks(folder: Path) -> list[str]:
    """The remarks in the ``manifest.json`` of a corpus's folder."""
    path = folder / "manifest.json"
    with reading_output(path):
        remarks: list[str] = json.loads(path.read_text(encoding="utf-8"))["remarks"]
        return remarks


def summarise(
    utterances: Sequence[Utterance], media: Sequence[Medium], notes: Mapping[str, int]
) -> dict[str, Any]:
    """Counts by split, hours, and what is missing, corrupt or of odd length."""
    splits = {split: [row for row in utterances if row.split == split] for split in SPLITS}
    readable = [row for row in media if row.duration_s]
    shortest_s, longest_s = USUAL_DURATION_S
    return {
        "utterances": {split: len(rows) for split, rows in splits.items()},
        "dialogues": {split: len({row.dialogue for row in rows}) for split, rows in splits.items()},
        "classes": {
            split: dict(sorted(Counter(row.label or NO_LABEL for row in rows).items()))
            for split, rows in splits.items()
        },
        "hours": round(sum(map(duration_s, readable)) / 3600, 3),
        "missing": sum(bool(row.image_problem) and not row.sha256 for row in media),
        "corrupt": sum(bool(row.sha256) and bool(row.image_problem or row.audio_problem) for row in media),
        "odd_durations": sum(not shortest_s <= duration_s(row) <= longest_s for row in readable),
        "left_out": dict(notes),
    }


def duration_s(medium: Medium) -> float:
    """Length of an utterance: of its span, or of its whole file."""
    if medium.start_s is not None and medium.end_s is not None:
        return medium.end_s - medium.start_s
    return medium.duration_s


def _write_counts(
    path: Path, column: str, found: Sequence[tuple[str, str]], values: Sequence[str] | None = None
) -> None:
    """How often each value occurs in each split; ``values`` gives all, in order, else those found."""
    counts = Counter(found)
    shown = values or sorted({value for _, value in found})
    rows = [(value, split, counts[split, value]) for value in shown for split in SPLITS]
    write_csv(path, (column, "split", "utterances"), rows)
