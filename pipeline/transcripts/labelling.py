"""Labels to utterances: by what an annotation belongs to, else by the largest overlap; raters vote."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.corpora.annotations.cells import one_line
from pipeline.corpora.annotations.rows import Mistakes
from pipeline.errors import UserError
from pipeline.transcripts.agreement import majority
from pipeline.transcripts.content import Mark, Tier, Transcript, clock
from pipeline.transcripts.turns import Said, describe_tiers, label_patterns, matches, without_speaker


class Rule(NamedTuple):
    """Where labels are, and when one counts."""

    tiers: Sequence[str] = ()
    """Names or patterns of tiers, in which ``{speaker}`` stands for the speaker of an utterance."""
    min_overlap: float = 0.5
    """Share of an utterance that a label must cover, where it does not belong to it; 0 for any."""
    unmarked: str = ""
    """Label of utterances that nobody marked; those whose marks decide nothing are left without."""


class Labelled(NamedTuple):
    """The label of an utterance, and what each rater says."""

    label: str
    votes: Mapping[str, str]
    """By rater; empty votes too."""


class _Source(NamedTuple):
    """A file with tiers of labels."""

    transcript: Transcript
    rater: str = ""
    """Whose it is; empty for the file with the utterances themselves."""
    shift_ms: int = 0
    """To be added to its times, so that they are those of the utterances."""


def label_utterances(
    transcript: Transcript,
    found: Sequence[Said],
    rule: Rule,
    mistakes: Mistakes,
    counts: Counter[str],
    weak: list[str],
    others: Sequence[Transcript] = (),
) -> list[Labelled]:
    """A label for each utterance; empty where there is none, or no majority.

    ``weak`` gets each label that covers too little of an utterance, with its file and time.  ``others`` are
    the same recording's files by further raters, who are called as the folders of those.
    """
    if not rule.tiers:
        return [Labelled("", {})] * len(found)
    sources = [_Source(transcript), *(_as_source(transcript, other, counts) for other in others)]
    own = {tier.name: tier.speaker for tier in transcript.tiers}
    votes: list[dict[str, str | None]] = [{} for _ in found]
    met: dict[tuple[Path, str], set[int]] = {}
    spoken = {said.tier for said in found}
    parties = [(said.tier, own[said.tier] or said.speaker) for said in found]
    for tier, speaker in dict.fromkeys(parties):
        raters = [each for source in sources for each in _raters(source, tier, speaker, rule)]
        _check_apart(raters)
        rating = {source.transcript.path for _, source, _ in raters}
        if not raters:
            counts[f"utterances for which there is no tier of labels: those of {speaker or tier!r}"] += (
                parties.count((tier, speaker))
            )
        for source in sources[1:] if raters else ():
            if source.transcript.path not in rating:
                of = f"utterances of {speaker or tier!r}"
                counts[f"{of} for which rater {source.rater!r} has no tier of labels"] += parties.count(
                    (tier, speaker)
                )
        for rater, source, labels in raters:
            join = _Join(source, labels, rule.min_overlap, spoken)
            for place, said in enumerate(found):
                if parties[place] == (tier, speaker):
                    votes[place][rater] = join.label(said, counts, weak)
            met.setdefault((source.transcript.path, labels.name), set()).update(join.met)
    used = {path for path, _ in met}
    for source in sources:
        if source.rater and found and source.transcript.path not in used:
            there = describe_tiers(tier for tier in source.transcript.tiers if tier.name)
            what = f"no tier with labels is called {' or '.join(rule.tiers)}; it has {there}"
            mistakes.add(str(source.transcript.path), what)
        for labels in source.transcript.tiers:
            places = met.get((source.transcript.path, labels.name))
            if places is not None:
                _check_met(source, labels, places, mistakes, counts)
    return [_decide(cast, rule.unmarked, counts) for cast in votes]


def _as_source(transcript: Transcript, other: Transcript, counts: Counter[str]) -> _Source:
    """Another rater's file, whose clock is compared by a medium that both name: others start elsewhere."""
    # Of two of one name in different folders, the first here is the first there.
    here = {link.name: link.origin_ms for link in reversed(transcript.media)}
    shifts = [link.origin_ms - here[link.name] for link in other.media if link.name in here]
    if not shifts:
        first, second = (each.media[0].origin_ms if each.media else 0 for each in (transcript, other))
        shifts = [second - first]
        if shifts[0] or (transcript.media and other.media):
            counts[
                f"files of raters that name no medium of the dialogue's, shifted by {shifts[0]} ms as if the"
                f" first of each were one: {other.path}"
            ] += 1
    return _Source(other, one_line(other.path.absolute().parent.name), shifts[0])


def _raters(source: _Source, spoken: str, speaker: str, rule: Rule) -> list[tuple[str, _Source, Tier]]:
    """Who rates a speaker's utterances in a file, and in which tiers."""
    wanted = label_patterns(rule.tiers, speaker)
    tiers = [
        tier
        for tier in source.transcript.tiers
        if tier.name and matches(tier.name, wanted) and (source.rater or tier.name != spoken)
    ]
    names = [without_speaker(tier.name, rule.tiers, speaker).strip("@_- ") for tier in tiers]
    if source.rater:
        names = [source.rater if len(tiers) == 1 else f"{source.rater} {name}" for name in names]
    return [(name or tier.name, source, tier) for name, tier in zip(names, tiers, strict=True)]


def _check_apart(raters: Sequence[tuple[str, _Source, Tier]]) -> None:
    """UserError for two raters of one name: the votes of one would replace those of the other."""
    first: dict[str, tuple[Path, str]] = {}
    for name, source, tier in raters:
        file = source.transcript.path
        if name in first:
            before, other = first[name]
            if before == file and other != tier.name:
                raise UserError(f"tiers {other!r} and {tier.name!r} are both of the rater {name!r}")
            raise UserError(
                f"{before} and {file} are both of the rater {name!r}: a rater's files lie in a folder of the"
                " rater's name"
            )
        first[name] = file, tier.name


def _check_met(
    source: _Source, labels: Tier, places: Collection[int], mistakes: Mistakes, counts: Counter[str]
) -> None:
    missed = sum(bool(mark.text) for place, mark in enumerate(labels.marks) if place not in places)
    if labels.marks and not places:
        what = f"no label of tier {labels.name!r} meets an utterance: is it the right one?"
        mistakes.add(str(source.transcript.path), what)
    elif missed:
        counts[f"labels of tier {labels.name!r} that meet no utterance"] += missed


def _decide(votes: Mapping[str, str | None], unmarked: str, counts: Counter[str]) -> Labelled:
    cast = {rater: unmarked if label is None else label for rater, label in votes.items()}
    label = majority(cast.values())
    if not any(cast.values()):
        counts["utterances without a label"] += 1
    elif not label:
        counts["utterances whose raters have no majority, left without a label"] += 1
    return Labelled(label, cast)


class _Join:
    """One tier of labels against utterances."""

    def __init__(self, source: _Source, tier: Tier, min_overlap: float, spoken: Collection[str]) -> None:
        self._marks, self._min, self._source = tier.marks, min_overlap, source
        self.met: set[int] = set()
        """Places in the tier of labels that met an utterance."""
        tiers = source.transcript.tiers
        parent = {mark.id: mark.parent for each in tiers for mark in each.marks if mark.id}
        self._parent = parent
        utterances = {mark.id for each in tiers if each.name in spoken for mark in each.marks if mark.id}
        self._belongs: dict[str, list[int]] = {}
        self._owners: list[set[str]] = [set() for _ in tier.marks]
        """Ids of the utterances that each label belongs to, left out or not."""
        if source.rater:  # ids are those of one file
            self._marks = tuple(_shift(mark, source.shift_ms) for mark in tier.marks)
        for place, mark in enumerate(self._marks):
            for id in self._line(mark.parent):
                self._belongs.setdefault(id, []).append(place)
                self._owners[place].update({id} & utterances)
        self._order = sorted(range(len(self._marks)), key=lambda place: self._marks[place].start_ms)
        self._starts = [self._marks[place].start_ms for place in self._order]
        self._longest = max((_end(mark) - mark.start_ms for mark in self._marks), default=0)

    def label(self, said: Said, counts: Counter[str], weak: list[str]) -> str | None:
        """The label of an utterance; None if nobody marked it, empty, and noted, if no mark decides."""
        by_parent = [place for id in said.ids for place in self._belongs.get(id, ())]
        length = (said.end_ms or said.start_ms) - said.start_ms
        covered: Counter[str] = Counter()
        for place in by_parent or self._near(said):
            mark = self._marks[place]
            overlap = min(said.end_ms or said.start_ms, _end(mark)) - max(said.start_ms, mark.start_ms)
            inside = mark.start_ms == _end(mark) and said.start_ms <= mark.start_ms < (said.end_ms or 0)
            if overlap > 0 or inside or by_parent:
                self.met.add(place)
                if mark.text:
                    covered[mark.text] += length if inside else max(overlap, 1)
        if not covered:
            return None
        (label, most), *others = covered.most_common(2)
        if others and others[0][1] == most:
            counts["utterances that two labels of a rater cover alike, counted as without one"] += 1
            return ""
        if not by_parent and most < self._min * length:
            share = 100 * most // max(length, 1)
            there = clock(max(said.start_ms - self._source.shift_ms, 0))
            weak.append(f"{self._source.transcript.path}, {there}: {label} covers {share} %")
            return ""
        return label

    def _line(self, id: str) -> Iterator[str]:
        """An annotation, what it belongs to, and so on."""
        while id:
            yield id
            id = self._parent.get(id, "")

    def _near(self, said: Said) -> list[int]:
        """Labels that may overlap, without those that belong to other utterances: those are not meant."""
        own = {id for each in said.ids for id in self._line(each)}
        first = bisect_left(self._starts, said.start_ms - self._longest)
        last = bisect_right(self._starts, said.end_ms or said.start_ms)
        return [
            place
            for place in self._order[first:last]
            if not self._owners[place] or not self._owners[place].isdisjoint(own)
        ]


def _shift(mark: Mark, ms: int) -> Mark:
    return mark._replace(start_ms=mark.start_ms + ms, end_ms=_end(mark) + ms, parent="")


def _end(mark: Mark) -> int:
    return mark.start_ms if mark.end_ms is None else mark.end_ms
