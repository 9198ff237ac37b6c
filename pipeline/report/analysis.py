"""The page on one analysed film: what the model says of whom, when, and of what it saw nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.report.page import render_page
from pipeline.report.results import Results
from pipeline.report.timeline import UNSURE_BELOW, clock, looks_of, make_strips
from pipeline.transcripts.predicted import UNKNOWN, Predicted


class Analysis(NamedTuple):
    """A film and what was predicted of it; N utterances in time."""

    film: str
    transcript: str
    link: str
    """Address of the film for the page's times; empty for none."""
    model: str
    classes: Sequence[str]
    results: Results | None
    """Of the model on its own corpus; None where they are not here."""
    untrained: Mapping[str, str]
    """By modality, encoders with random weights in words."""
    utterances: Sequence[Predicted]
    """[N]"""
    probabilities: Sequence[Sequence[float]]
    """[N, classes]"""
    reasons: Mapping[str, Sequence[str]]
    """By modality, [N]: why it was not observed, empty where it was."""
    notes: Sequence[str]


def render_analysis(analysis: Analysis) -> str:
    """The page, whole."""
    looks = looks_of(analysis.classes)
    return render_page(
        "analysis",
        {
            "analysis": analysis,
            "looks": looks,
            "unknown": UNKNOWN,
            "unsure_below": UNSURE_BELOW,
            "strips": make_strips(analysis.utterances, analysis.classes),
            "rows": [_row(analysis, place, looks) for place in range(len(analysis.utterances))],
            "speakers": _speakers(analysis),
            "unsure": sum(each.probability < UNSURE_BELOW for each in analysis.utterances),
            "missing": _missing(analysis),
            "seen": {name: sum(not each for each in own) for name, own in analysis.reasons.items()},
            "clock": clock,
        },
    )


def _row(analysis: Analysis, place: int, looks: Mapping[str, Any]) -> dict[str, Any]:
    each, shares = analysis.utterances[place], analysis.probabilities[place]
    order = sorted(range(len(shares)), key=lambda number: -shares[number])
    second = order[1] if len(order) > 1 else None
    return {
        "said": each,
        "look": looks[each.prediction],
        "unsure": each.probability < UNSURE_BELOW,
        "second": None if second is None else (analysis.classes[second], shares[second]),
        "lacks": [name for name, own in analysis.reasons.items() if own[place]],
    }


def _speakers(analysis: Analysis) -> dict[str, Counter[str]]:
    """Utterances of each speaker by class."""
    found: dict[str, Counter[str]] = {}
    for each in analysis.utterances:
        found.setdefault(each.speaker or UNKNOWN, Counter())[each.prediction] += 1
    return dict(sorted(found.items()))


def _missing(analysis: Analysis) -> list[tuple[str, str, list[int]]]:
    """Modality, reason, and the numbers of the utterances, from 1."""
    found: dict[tuple[str, str], list[int]] = {}
    for name, own in analysis.reasons.items():
        for number, reason in enumerate(own, 1):
            if reason:
                found.setdefault((name, reason), []).append(number)
    return [(*key, numbers) for key, numbers in found.items()]
