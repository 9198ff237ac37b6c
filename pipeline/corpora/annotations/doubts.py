"""What is legal in a corpus, and probably not meant: it would give scores that mean something else."""

from __future__ import annotations

import difflib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pipeline.corpora.annotations.cells import number
from pipeline.corpora.annotations.corpus import SPLITS, Annotation

SHOWN = 5
_PURPOSES = {
    "train": "no network can learn from this corpus",
    "dev": "no epoch can be chosen",
    "test": "there is nothing to score",
}


def find_doubts(annotations: Sequence[Annotation]) -> list[str]:
    """One line each; none of a corpus without labels for want of them."""
    utterances = [annotation.utterance for annotation in annotations]
    counts = {
        split: Counter(row.label for row in utterances if row.split == split and row.label)
        for split in SPLITS
    }
    labelled = any(counts.values())
    lines = [f"no labelled utterance in {split}: {_PURPOSES[split]}" for split in SPLITS if not counts[split]]
    return [
        *(lines if labelled else []),
        *_doubt_classes(counts),
        *_doubt_media(annotations),
        *doubt_speakers({row.speaker for row in utterances}),
    ]


def _doubt_classes(counts: Mapping[str, Counter[str]]) -> list[str]:
    learned, scored = counts["train"], counts["dev"] + counts["test"]
    classes = sorted(learned + scored)
    lines = []
    if learned and (unlearned := scored.keys() - learned.keys()):
        shown = _some(_with_likely_name(label, scored[label], classes) for label in sorted(unlearned))
        lines.append(f"classes that train lacks, so that no network can learn them: {shown}")
    if scored and (unscored := learned.keys() - scored.keys()):
        shown = _some(_with_likely_name(label, learned[label], classes) for label in sorted(unscored))
        lines.append(f"classes that only train has: {shown}")
    if numbers := [label for label in classes if number(label) is not None]:
        lines.append(
            f"labels that are numbers: {_some(numbers)}; they count as names of classes, not as measures"
        )
    if len(classes) == 1:
        lines.append(f"one class only, {classes[0]!r}: there is nothing to tell apart")
    return lines


def _doubt_media(annotations: Sequence[Annotation]) -> list[str]:
    users: dict[tuple[object, ...], list[Annotation]] = {}
    for row in annotations:
        if row.media:
            users.setdefault((row.media, row.audio, row.start_s, row.end_s, row.crop), []).append(row)
    shared = [rows for rows in users.values() if len(rows) > 1]
    if not shared:
        return []
    splits = any(len({row.utterance.split for row in rows}) > 1 for rows in shared)
    examples = _some(f"{rows[0].utterance.id} and {rows[1].utterance.id}" for rows in shared)
    return [
        f"{sum(map(len, shared))} utterances have the same file and span as another"
        f"{', some in another split' if splits else ''}: {examples}"
    ]


def doubt_speakers(names: Iterable[str]) -> list[str]:
    """A line on names that are probably one person's; none if there are none."""
    alike: dict[str, list[str]] = {}
    for name in sorted(names):
        alike.setdefault(unicodedata.normalize("NFKC", name).casefold(), []).append(name)
    shown = _some(" and ".join(map(repr, group)) for group in alike.values() if len(group) > 1)
    return [f"speakers that differ in capitals alone, and count as several: {shown}"] if shown else []


def _with_likely_name(label: str, count: int, others: Iterable[str]) -> str:
    close = difflib.get_close_matches(label, [other for other in others if other != label], n=1, cutoff=0.8)
    return f"{label!r} ({count}{f'; is it {close[0]!r}?' if close else ''})"


def _some(items: Iterable[str]) -> str:
    every = list(items)
    more = len(every) - SHOWN
    return ", ".join(every[:SHOWN]) + (f" and {more} more" if more > 0 else "")
