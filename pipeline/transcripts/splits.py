"""Splits for a corpus that has none: whole groups of dialogues, always the same ones.

By speaker, dialogues that share a speaker are in one split, so that a model is tested on people whom it has
never seen; by dialogue, each dialogue is a group of its own.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from pipeline.corpora.annotations.corpus import SPLITS
from pipeline.errors import UserError
from pipeline.transcripts.speakers import is_of_one_file

WAYS = ("speaker", "dialogue", "test")
SHARES = {"train": 0.7, "dev": 0.15, "test": 0.15}
ALL_TEST = "--split test puts all in test"
FEWEST_OF_CLASS = 5
NAMES_SHOWN = 5
FEWEST_DEV_DIALOGUES, LEAST_DEV_SHARE = 2, 0.1
LEAST_TRAIN_SHARE = 0.5


class Turn(NamedTuple):
    """What splits are made by."""

    dialogue: str
    speaker: str
    label: str


def split_dialogues(
    turns: Sequence[Turn], way: str, known: Mapping[str, str], ignored: Collection[str] = ()
) -> dict[str, str]:
    """Split of each dialogue; those in ``known`` keep theirs.

    ``ignored`` are speakers who may be in several splits.  UserError where there are too few groups.
    """
    sizes = Counter(turn.dialogue for turn in turns)
    if way == "test":
        return dict.fromkeys(sizes, "test") | {name: known[name] for name in sizes if name in known}
    groups = _groups(turns, ignored) if way == "speaker" else [[name] for name in sizes]
    if len(groups) < len(SPLITS) and not known:
        raise UserError(_too_few(turns, way, groups, ignored))
    splits = {name: known[name] for name in sizes if name in known}
    filled = Counter(dict.fromkeys(SPLITS, 0))
    for name, split in splits.items():
        filled[split] += sizes[name]
    # The largest first: one that comes late has no split left that it fits.
    for group in sorted(groups, key=lambda names: (-sum(sizes[name] for name in names), _draw(min(names)))):
        new = [name for name in group if name not in splits]
        there = Counter(dict.fromkeys(SPLITS, 0))
        for name in group:
            if name in splits:
                there[splits[name]] += sizes[name]
        if there.total():
            split = max(SPLITS, key=lambda each: there[each])
        else:
            split = min(SPLITS, key=lambda each: filled[each] / SHARES[each])
        for name in new:
            splits[name] = split
            filled[split] += sizes[name]
    return splits


def describe_splits(turns: Sequence[Turn], splits: Mapping[str, str]) -> Iterator[str]:
    """A line on each split: its size, and its classes."""
    for split in SPLITS:
        own = [turn for turn in turns if splits[turn.dialogue] == split]
        dialogues, speakers = {turn.dialogue for turn in own}, {turn.speaker for turn in own} - {""}
        classes = Counter(turn.label for turn in own if turn.label)
        counted = ", ".join(f"{label} {count}" for label, count in sorted(classes.items())) or "no labels"
        sizes = f"{len(dialogues)} dialogues, {len(speakers)} speakers, {len(own)} utterances"
        yield f"{split}: {sizes} ({counted})"


def doubt_splits(turns: Sequence[Turn], splits: Mapping[str, str]) -> Iterator[str]:
    """What makes scores on these splits say little."""
    own = {split: [turn for turn in turns if splits[turn.dialogue] == split] for split in SPLITS}
    if not own["train"]:
        return
    classes = {split: Counter(turn.label for turn in own[split] if turn.label) for split in SPLITS}
    for label in sorted({turn.label for turn in turns if turn.label}):
        few = [split for split in ("dev", "test") if classes[split][label] < FEWEST_OF_CLASS]
        if not classes["train"][label]:
            yield f"class {label!r} is missing in train: no network can learn it"
        if few:
            counted = ", ".join(f"{classes[split][label]} in {split}" for split in few)
            yield f"class {label!r} has {counted}: its score will say little"
    if len(own["train"]) < LEAST_TRAIN_SHARE * len(turns):
        share = 100 * len(own["train"]) / len(turns)
        yield f"train has {share:.0f} % of the utterances, which are all that a network learns from"
    dev = len({turn.dialogue for turn in own["dev"]})
    if dev < FEWEST_DEV_DIALOGUES or len(own["dev"]) < LEAST_DEV_SHARE * len(turns):
        share = 100 * len(own["dev"]) / len(turns)
        yield f"dev has {dev} dialogues and {share:.0f} % of the utterances, and the epoch is chosen there"
    shared = {turn.speaker for turn in own["train"]} & {turn.speaker for turn in own["test"]} - {""}
    if shared:
        names = _first(sorted(shared))
        yield f"{len(shared)} speakers are in train and in test ({names}): scores on new people will be lower"


def doubt_unnamed(
    turns: Sequence[Turn], ignored: Collection[str] = (), renamed: bool = False
) -> Iterator[str]:
    """Where nothing tells who of several dialogues is one person, and who may then be in several splits.

    ``renamed``: whether the user said who is who; names that a program gave are then his own.
    """
    nobody = sum(not turn.speaker for turn in turns)
    numbered = dict.fromkeys(
        repr(turn.speaker)
        for turn in turns
        if turn.speaker not in ignored and is_of_one_file(turn.dialogue.rpartition("/")[2], turn.speaker)
    )
    told = [f"{nobody} utterances are of nobody"] if nobody else []
    if numbered and not renamed:
        told.append(f"{len(numbered)} speakers are called by number and file ({_first(list(numbered))})")
    if told:
        yield (
            f"{' and '.join(told)}: nothing tells whether people of two dialogues are the same, and they may"
            " be in several splits; --speakers does"
        )


def check_ignored(turns: Sequence[Turn], ignored: Collection[str]) -> None:
    """UserError for a name that nobody has: a typo must not leave somebody in all dialogues."""
    there = sorted({turn.speaker for turn in turns} - {""})
    for name in ignored:
        if name not in there:
            raise UserError(
                f"--ignore-speaker {name}: nobody is called so; there are {_first(list(map(repr, there)))}"
            )


def doubt_merged(
    turns: Sequence[Turn], splits: Mapping[str, str], known: Mapping[str, str], ignored: Collection[str] = ()
) -> Iterator[str]:
    """Where dialogues that are new join others by their speakers that were in several splits already."""
    for group in _groups(turns, ignored):
        there = [split for split in SPLITS if split in {splits[name] for name in group}]
        new = [repr(name) for name in group if name not in known]
        if len(there) > 1 and new:
            yield (
                f"the speakers of {_first(new)} join dialogues that were in {' and '.join(there)}; all keep"
                " their splits, so that some speakers are in several: delete the table to split all anew"
            )


def _groups(turns: Sequence[Turn], ignored: Collection[str]) -> list[list[str]]:
    """Dialogues that are connected by their speakers."""
    parent = {turn.dialogue: turn.dialogue for turn in turns}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    first: dict[str, str] = {}
    for turn in turns:
        if turn.speaker and turn.speaker not in ignored:
            parent[root(turn.dialogue)] = root(first.setdefault(turn.speaker, turn.dialogue))
    groups: dict[str, list[str]] = {}
    for name in parent:
        groups.setdefault(root(name), []).append(name)
    return list(groups.values())


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMES_SHOWN]) + (" ..." if len(names) > NAMES_SHOWN else "")


def _draw(name: str) -> str:
    return hashlib.sha256(f"0 {name}".encode()).hexdigest()


def _too_few(
    turns: Sequence[Turn], way: str, groups: Sequence[Sequence[str]], ignored: Collection[str]
) -> str:
    if way == "dialogue":
        return f"--split dialogue: {len(groups)} dialogues cannot fill three splits; {ALL_TEST}"
    pairs = {(turn.speaker, turn.dialogue) for turn in turns if turn.speaker and turn.speaker not in ignored}
    (who, count), *_ = Counter(speaker for speaker, _ in pairs).most_common(1) or [("", 0)]
    someone = (
        f"; {who!r} is in {count} dialogues: --ignore-speaker lets them be in several splits" if who else ""
    )
    return (
        f"--split speaker: speakers join the dialogues into {len(groups)} groups, too few for three"
        f" splits{someone}, --split dialogue shares speakers among splits, {ALL_TEST}"
    )
