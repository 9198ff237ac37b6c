"""Labels to utterances: by what an annotation belongs to, else by the largest overlap; raters vote."""

from __future__ import annotations

import glob
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.corpora.annotations.rows import Mistakes
from pipeline.errors import UserError
from pipeline.transcripts.agreement import majority
from pipeline.transcripts.content import Mark, Tier, Transcript, clock
from pipeline.transcripts.turns import Said, describe_tiers, matches

SPEAKER = "{speaker}"
SHOWN = 5
"""Of labels that cover too little."""


class Rule(NamedTuple):
    """Where labels are, and when one counts."""

    tiers: Sequence[str] = ()
    """Names or patterns of tiers, in which ``{speaker}`` stands for the speaker of an utterance."""
    min_overlap: float = 0.5
    """Share of an utterance that a label must cover, where it does not belong to it; 0 for any."""
    unmarked: str = ""
    """Label of utterances that nobody marked."""


class Labelled(NamedTuple):
    """The label of an utterance, and what each rater says."""

    label: str
    votes: Mapping[str, str]
    """By rater; empty votes too."""


def label_utterances(
    transcript: Transcript, found: Sequence[Said], rule: Rule, mistakes: Mistakes, counts: Counter[str]
) -> list[Labelled]:
    """A label for each utterance; empty where there is none, or no majority."""
    if not rule.tiers:
        return [Labelled("", {})] * len(found)
    tiers = {tier.name: tier for tier in transcript.tiers}
    votes: list[dict[str, str]] = [{} for _ in found]
    met: dict[str, set[int]] = {}
    for spoken in dict.fromkeys(said.tier for said in found):
        raters = _raters(tiers, tiers[spoken], rule)
        if not raters and transcript.tiered:
            mistakes.add(
                str(transcript.path),
                f"no tier of labels for {spoken!r} is called"
                f" {' or '.join(rule.tiers).replace(SPEAKER, tiers[spoken].speaker)}; it has"
                f" {describe_tiers(transcript.tiers)}",
            )
        for rater, tier in raters.items():
            join = _Join(transcript, tier, rule.min_overlap)
            for place, said in enumerate(found):
                if said.tier == spoken:
                    votes[place][rater] = join.label(said, counts)
            met.setdefault(tier.name, set()).update(join.met)
    for name, places in met.items():
        marks = tiers[name].marks
        missed = sum(bool(mark.text) for place, mark in enumerate(marks) if place not in places)
        if marks and not places:
            mistakes.add(
                str(transcript.path), f"no label of tier {name!r} meets an utterance: is it the right one?"
            )
        elif missed:
            counts[f"labels of tier {name!r} that meet no utterance"] += missed
    return [_decide(cast, rule.unmarked, counts) for cast in votes]


def _raters(tiers: Mapping[str, Tier], spoken: Tier, rule: Rule) -> dict[str, Tier]:
    """The tiers of labels of a tier of utterances, by who rates."""
    wanted = [pattern.replace(SPEAKER, glob.escape(spoken.speaker)) for pattern in rule.tiers]
    exact = [pattern.replace(SPEAKER, spoken.speaker) for pattern in rule.tiers]
    raters: dict[str, Tier] = {}
    for name, tier in tiers.items():
        if name != spoken.name and (matches(name, wanted) or matches(name, map(glob.escape, exact))):
            rater = name.replace(spoken.speaker, "").strip("@_- ") if spoken.speaker else name
            if (rater := rater or name) in raters:
                raise UserError(f"tiers {raters[rater].name!r} and {name!r} are both of the rater {rater!r}")
            raters[rater] = tier
    return raters


def _decide(cast: Mapping[str, str], unmarked: str, counts: Counter[str]) -> Labelled:
    if unmarked:
        cast = {rater: label or unmarked for rater, label in cast.items()}
    label = majority(cast.values())
    if not any(cast.values()):
        counts["utterances without a label"] += 1
    elif not label:
        counts["utterances whose raters have no majority, left without a label"] += 1
    return Labelled(label, cast)


class _Join:
    """One tier of labels against utterances."""

    def __init__(self, transcript: Transcript, tier: Tier, min_overlap: float) -> None:
        self._tier, self._min = tier, min_overlap
        self.met: set[int] = set()
        """Places in the tier of labels that met an utterance."""
        parent = {mark.id: mark.parent for each in transcript.tiers for mark in each.marks if mark.id}
        self._belongs: dict[str, list[int]] = {}
        for place, mark in enumerate(tier.marks):
            id = mark.parent
            while id:
                self._belongs.setdefault(id, []).append(place)
                id = parent.get(id, "")
        self._order = sorted(range(len(tier.marks)), key=lambda place: tier.marks[place].start_ms)
        self._starts = [tier.marks[place].start_ms for place in self._order]
        self._longest = max((_end(mark) - mark.start_ms for mark in tier.marks), default=0)

    def label(self, said: Said, counts: Counter[str]) -> str:
        """The label of an utterance; empty if there is none, which is counted where one was near."""
        by_parent = [place for id in said.ids for place in self._belongs.get(id, ())]
        length = (said.end_ms or said.start_ms) - said.start_ms
        covered: Counter[str] = Counter()
        for place in by_parent or self._near(said):
            mark = self._tier.marks[place]
            overlap = min(said.end_ms or said.start_ms, _end(mark)) - max(said.start_ms, mark.start_ms)
            inside = mark.start_ms == _end(mark) and said.start_ms <= mark.start_ms < (said.end_ms or 0)
            if overlap > 0 or inside or by_parent:
                self.met.add(place)
                if mark.text:
                    covered[mark.text] += length if inside else max(overlap, 1)
        if not covered:
            return ""
        (label, most), *others = covered.most_common(2)
        if others and others[0][1] == most:
            counts["utterances that two labels of a rater cover alike, counted as without one"] += 1
            return ""
        if not by_parent and most < self._min * length:
            share = f"{label} covers {100 * most // max(length, 1)} % at {clock(said.start_ms)}"
            counts["utterances whose label covers too little of them (--min-overlap)"] += 1
            if sum(key.startswith("- ") for key in counts) < SHOWN:
                counts[f"- {share}"] += 1
            return ""
        return label

    def _near(self, said: Said) -> list[int]:
        first = bisect_left(self._starts, said.start_ms - self._longest)
        last = bisect_right(self._starts, said.end_ms or said.start_ms)
        return self._order[first:last]


def _end(mark: Mark) -> int:
    return mark.start_ms if mark.end_ms is None else mark.end_ms
