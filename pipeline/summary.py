"""What a corpus holds, in figures: manifest.json and the plots beside it."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.features import SPLITS
from pipeline.manifest import Medium, Utterance

# Clips outside this range are cut wrongly more often than not (in MELD, by the hundredfold).
USUAL_DURATION_S = (0.2, 30.0)
UNLABELLED = "(unlabelled)"


def write_summary(
    folder: Path, utterances: Sequence[Utterance], media: Sequence[Medium], notes: Mapping[str, int]
) -> None:
    """Write ``manifest.json``, ``plots/classes.csv`` and ``plots/durations.csv`` of a corpus's folder."""
    text = json.dumps(summarise(utterances, media, notes), indent=2, ensure_ascii=False)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")
    counts = Counter((row.split, row.label or UNLABELLED) for row in utterances)
    _write_rows(
        folder / "plots" / "classes.csv",
        ("class", "split", "utterances"),
        ((label, split, count) for (split, label), count in sorted(counts.items(), key=_split_first)),
    )
    durations = Counter(
        (utterance.split, int(duration_s(medium)))
        for utterance, medium in zip(utterances, media, strict=True)
        if medium.sha256
    )
    _write_rows(
        folder / "plots" / "durations.csv",
        ("duration_s", "split", "utterances"),
        ((seconds, split, count) for (split, seconds), count in sorted(durations.items(), key=_split_first)),
    )


def summarise(
    utterances: Sequence[Utterance], media: Sequence[Medium], notes: Mapping[str, int]
) -> dict[str, Any]:
    """Counts by split, hours, and what is missing, corrupt or of odd length."""
    splits = {split: [row for row in utterances if row.split == split] for split in SPLITS}
    present = [row for row in media if row.sha256]
    shortest_s, longest_s = USUAL_DURATION_S
    return {
        "utterances": {split: len(rows) for split, rows in splits.items()},
        "dialogues": {split: len({row.dialogue for row in rows}) for split, rows in splits.items()},
        "classes": {
            split: dict(sorted(Counter(row.label or UNLABELLED for row in rows).items()))
            for split, rows in splits.items()
        },
        "hours": round(sum(map(duration_s, present)) / 3600, 3),
        "missing": sum(bool(row.path) and not row.sha256 for row in media),
        "corrupt": sum(bool(row.picture_problem or row.sound_problem) for row in present),
        "odd_durations": sum(not shortest_s <= duration_s(row) <= longest_s for row in present),
        "left_out": dict(notes),
    }


def duration_s(medium: Medium) -> float:
    """Length of an utterance: of its span, or of its whole file."""
    if medium.start_s is not None and medium.end_s is not None:
        return medium.end_s - medium.start_s
    return medium.duration_s


def _split_first(item: tuple[tuple[str, Any], int]) -> tuple[int, Any]:
    (split, value), _ = item
    return SPLITS.index(split), value


def _write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
