"""What is said in a transcript: the marks of the tiers that the user chose, as utterances."""

from __future__ import annotations

import fnmatch
import glob
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from pipeline.corpora.annotations.cells import one_line
from pipeline.corpora.annotations.rows import Mistakes
from pipeline.errors import UserError
from pipeline.transcripts.content import Mark, Tier, Transcript

SPEAKER = "{speaker}"
"""Stands for the speaker of an utterance in names of tiers of labels."""
_HOLE = "\ue000"
"""The same within patterns that become regular expressions, where it means nothing."""
TOLERATED_OVERLAP_MS = 1
"""Of neighbours in a tier: tools round."""
INVENTED_MS, INVENTED_RUN = 1000, 5
"""ELAN gives utterances that it imports without a time one second each."""


@dataclass(frozen=True)
class Said:
    """An utterance of a transcript; times are those of the transcript's clock."""

    start_ms: int
    end_ms: int | None
    text: str
    speaker: str
    tier: str
    place: str
    ids: tuple[str, ...] = ()
    """Of the marks that it is made of."""


@dataclass(frozen=True)
class Choice:
    """Which tiers and marks are utterances."""

    utterances: Sequence[str] = ()
    """Names or patterns of tiers; for formats without tiers none are needed."""
    by_participant: bool = False
    """Whether a speaker is whom the file says, rather than what the tier is called."""
    ignore: Sequence[str] = ()
    """Patterns of texts that are no utterances, such as ``xxx``."""
    drop_empty_spans: bool = False
    join_s: float | None = None
    """Longest pause between two utterances of one speaker that become one; None for none."""


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a tier's name is one of these, or fits one of these patterns."""
    plain = one_line(name)
    return any(plain == one_line(each) or fnmatch.fnmatchcase(plain, one_line(each)) for each in patterns)


def label_patterns(tiers: Sequence[str], speaker: str) -> list[str]:
    """Patterns of the tiers with labels of a speaker; of anybody's for ``*``."""
    told = speaker if speaker == "*" else glob.escape(speaker)
    return [pattern.replace(SPEAKER, told) for pattern in tiers] + [
        glob.escape(pattern.replace(SPEAKER, speaker)) for pattern in tiers
    ]


def without_speaker(name: str, tiers: Sequence[str], speaker: str) -> str:
    """The name of a tier with labels of a speaker, less what stands where its pattern has ``{speaker}``.

    >>> without_speaker("Anna@A", ("*@{speaker}",), "A"), without_speaker("Anna", ("Ann*",), "A")
    ('Anna@', 'Anna')
    """
    plain = one_line(name)
    for pattern in tiers:
        for each in (pattern, glob.escape(pattern)):  # as ``label_patterns`` has them
            told = fnmatch.translate(one_line(each.replace(SPEAKER, _HOLE)))
            found = re.match(told.replace(_HOLE, f"({re.escape(one_line(speaker))})"), plain)
            if found:
                for place in range(len(found.groups()), 0, -1):
                    plain = plain[: found.start(place)] + plain[found.end(place) :]
                return plain
    return plain


def describe_tiers(tiers: Iterable[Tier]) -> str:
    """Names of tiers with the number of their marks, for errors."""
    return ", ".join(f"{tier.name!r} ({len(tier.marks)})" for tier in tiers) or "none"


def spoken_tiers(transcript: Transcript, choice: Choice, labels: Sequence[str] = ()) -> list[Tier]:
    """The tiers that hold utterances; UserError where none is named, or none of those that are is there.

    A tier that holds the ``labels`` of another that is chosen is none, whatever pattern it fits.
    """
    if not transcript.tiered:
        return list(transcript.tiers)
    there = describe_tiers(transcript.tiers)
    if not choice.utterances:
        raise UserError(f"which tiers hold what is said? Name them by --utterances; it has {there}")
    chosen = [tier for tier in transcript.tiers if matches(tier.name, choice.utterances)]
    if not chosen:
        raise UserError(f"no tier is called {' or '.join(choice.utterances)}; it has {there}")
    spoken = [tier for tier in chosen if not _label(tier, chosen, labels)]
    for tier in chosen:
        if tier not in spoken and not _label(tier, spoken, labels):
            raise UserError(
                f"tier {tier.name!r} would hold utterances by --utterances and labels by --labels: name"
                " either more closely"
            )
    if points := [tier.name for tier in spoken if tier.points]:
        raise UserError(f"tier {points[0]!r} holds points, and an utterance lasts")
    return spoken


def _label(tier: Tier, others: Iterable[Tier], labels: Sequence[str]) -> bool:
    """Whether a tier holds labels of one of the others."""
    return any(
        other is not tier and matches(tier.name, label_patterns(labels, other.speaker)) for other in others
    )


def find_said(
    transcript: Transcript,
    choice: Choice,
    mistakes: Mistakes,
    counts: Counter[str],
    labels: Sequence[str] = (),
) -> list[Said]:
    """All utterances by their times; what is wrong goes to ``mistakes``, what is odd is counted.

    ``labels`` name tiers that hold labels, as ``Rule.tiers`` do.
    """
    found: list[Said] = []
    tiers = spoken_tiers(transcript, choice, labels)
    for tier in tiers:
        if tier.parent and tier.parent in {other.name for other in tiers}:
            counts[f"utterances of tier {tier.name!r}, which refers to other utterances: is it one?"] += len(
                tier.marks
            )
        speaker = (choice.by_participant and tier.participant) or tier.speaker
        if tier.participant not in ("", speaker):
            other = f"tier {tier.name!r}, whose participant is {tier.participant!r}"
            counts[f"utterances of {other}: --speaker participant takes that name"] += len(tier.marks)
        kept = [mark for mark in tier.marks if _counts(mark, choice, counts)]
        counts["utterances that overlap another of their tier"] += transcript.tiered and _overlaps(kept)
        counts["utterances without a time of their own, which share that of their neighbours"] += tier.untimed
        for mark in kept:
            if mark.end_ms == mark.start_ms and choice.drop_empty_spans:
                counts["utterances without duration, left out by --drop-empty-spans"] += 1
                continue
            if mark.end_ms is not None and mark.end_ms <= mark.start_ms:
                what = "an end before its start: mend it"
                if mark.end_ms == mark.start_ms:
                    what = "no duration: mend it, or leave all such out by --drop-empty-spans"
                mistakes.add(f"{transcript.path}, {mark.place}", f"{mark.text[:40]!r} has {what}")
                continue
            ids = (mark.id,) if mark.id else ()
            who = mark.speaker or speaker
            found.append(Said(mark.start_ms, mark.end_ms, mark.text, who, tier.name, mark.place, ids))
    order = {tier.name: place for place, tier in enumerate(transcript.tiers)}
    found.sort(key=lambda said: (said.start_ms, said.end_ms or said.start_ms, order[said.tier]))
    joined = found if choice.join_s is None else _join(found, round(1000 * choice.join_s), counts)
    counts["utterances joined to the one before them"] += len(found) - len(joined)
    counts["utterances without text"] += sum(not said.text for said in joined)
    counts["utterances of exactly 1 s in a row: are their times invented?"] += _invented(joined)
    return joined


def _counts(mark: Mark, choice: Choice, counts: Counter[str]) -> bool:
    """Whether a mark is an utterance by the user's word."""
    ignored = next((each for each in choice.ignore if fnmatch.fnmatchcase(mark.text, one_line(each))), None)
    if ignored is not None:
        counts[f"utterances left out by --ignore {ignored}"] += 1
    return ignored is None


def _overlaps(marks: Sequence[Mark]) -> int:
    ordered = sorted((mark.start_ms, mark.end_ms or mark.start_ms) for mark in marks)
    return sum(after[0] < before[1] - TOLERATED_OVERLAP_MS for before, after in pairwise(ordered))


def _join(found: Sequence[Said], pause_ms: int, counts: Counter[str]) -> list[Said]:
    """Neighbours of one speaker as one utterance, where hardly a pause is between them.

    What starts together, as turns of one cue do, is several people's or was set apart, and stays so.
    """
    joined: list[Said] = []
    for before, said in zip([None, *found], found, strict=False):
        last = joined[-1] if joined else None
        if (
            before is not None
            and last is not None
            and (last.speaker, last.tier) == (said.speaker, said.tier)
            and before.start_ms != said.start_ms
            and last.end_ms is not None
            and said.start_ms - last.end_ms <= pause_ms
        ):
            if said.speaker:
                end = None if said.end_ms is None else max(last.end_ms, said.end_ms)
                text = f"{last.text} {said.text}".strip()
                joined[-1] = replace(last, end_ms=end, text=text, ids=last.ids + said.ids)
                continue
            counts["utterances that --join left alone, as nothing tells who says them"] += 1
        joined.append(said)
    return joined


def _invented(found: Sequence[Said]) -> int:
    lengths = [said.end_ms is not None and said.end_ms - said.start_ms == INVENTED_MS for said in found]
    runs = [len(list(run)) for exact, run in groupby(lengths) if exact]
    return sum(run for run in runs if run >= INVENTED_RUN)
