"""The order of the utterances of a table, and what is odd about it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from pipeline.corpora.annotations.cells import whole_number
from pipeline.corpora.annotations.corpus import SPLITS, Annotation


def in_order(rows: Iterable[tuple[str, Annotation]]) -> tuple[list[Annotation], list[str]]:
    """Annotations by split and dialogue with their positions, and remarks on their order.

    ``rows``: utterance, as the table calls it, and annotation.  Where all of a dialogue's utterances are
    whole numbers, they give the order, else the rows do.
    """
    dialogues: dict[tuple[int, str], list[tuple[str, Annotation]]] = {}
    for name, annotation in rows:
        key = SPLITS.index(annotation.utterance.split), annotation.utterance.dialogue
        dialogues.setdefault(key, []).append((name, annotation))
    ordered: list[Annotation] = []
    odd: dict[str, list[str]] = {}
    for (_, dialogue), named in sorted(dialogues.items()):
        names = [name for name, _ in named]
        if any(whole_number(name) is None for name in names):
            if what := _doubt_rows(names):
                why, example = what
                odd.setdefault(f"stand as their rows do: {why}", []).append(f"{dialogue} ({example})")
        else:
            named.sort(key=lambda pair: whole_number(pair[0]) or 0)
        annotations = [annotation for _, annotation in named]
        if back := _goes_back(annotations):
            odd.setdefault("go back in time within a file, by start_s", []).append(back)
        for position, annotation in enumerate(annotations):
            utterance = dataclasses.replace(annotation.utterance, position=position)
            ordered.append(annotation._replace(utterance=utterance))
    return ordered, [f"{len(cases)} dialogues {what}, such as {cases[0]}" for what, cases in odd.items()]


def _doubt_rows(names: Sequence[str]) -> tuple[str, str] | None:
    """Why rows may not be in the order of talk, and an example; None if nothing says so."""
    numbers = [whole_number(name) for name in names]
    if any(number is not None for number in numbers):
        return "some of their utterances are whole numbers, but not all", repr(names[numbers.index(None)])
    tails = [re.fullmatch(r"(.*?)(\d{1,40})\D*", name) for name in names]
    for (one, first), (other, second) in pairwise(zip(names, tails, strict=True)):
        if first and second and first[1] == second[1] and int(first[2]) > int(second[2]):
            return "the numbers in their utterances' names have another order", f"{one!r} before {other!r}"
    return None


def _goes_back(annotations: Sequence[Annotation]) -> str:
    """The first utterance that starts before the one above it, in words; empty if none does."""
    for above, below in pairwise(annotations):
        earlier, later = above.start_s or 0.0, below.start_s or 0.0
        if above.media and above.media == below.media and later < earlier:
            return f"{below.utterance.id} (at {later:g} s, after {earlier:g} s)"
    return ""
