"""A talk as strips of time with a lane for each speaker, whose bars are predictions.

Bars are HTML and no picture, so that their words stay legible on any screen and can be searched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.transcripts.predicted import UNKNOWN, Predicted

MOST_STRIPS = 20
STRIP_LENGTHS_S = (30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
UNSURE_BELOW = 0.5
NEUTRAL = ("neutral", "no emotion", "calm")
# Okabe and Ito's colours, which colour-blind readers tell apart, with the ink that is legible on them.
COLOURS = (
    *(("#0072b2", "#fff"), ("#e69f00", "#000"), ("#009e73", "#000"), ("#d55e00", "#fff")),
    *(("#cc79a7", "#000"), ("#56b4e9", "#000"), ("#f0e442", "#000")),
)
GREY = ("#8a8a8a", "#000")


class Look(NamedTuple):
    """How a class is drawn."""

    name: str
    colour: str
    ink: str
    striped: bool
    """Whether stripes tell it from another class of this colour."""


class Bar(NamedTuple):
    """An utterance within a strip; edges and height in percent."""

    left: float
    width: float
    height: float
    look: Look
    title: str
    unsure: bool
    row: int
    """Its number in the table, from 1."""


class Strip(NamedTuple):
    """A stretch of time, with bars by speaker."""

    start_s: int
    end_s: int
    lanes: dict[str, list[Bar]]


def looks_of(classes: Sequence[str]) -> dict[str, Look]:
    """A look for each class: grey for the first that is neutral, fourteen for others, which then repeat."""
    neutral = next((name for name in classes if name.casefold() in NEUTRAL), None)
    looks = {} if neutral is None else {neutral: Look(neutral, *GREY, striped=False)}
    for place, name in enumerate(name for name in classes if name not in looks):
        colour, ink = COLOURS[place % len(COLOURS)]
        looks[name] = Look(name, colour, ink, striped=bool(place // len(COLOURS) % 2))
    return {name: looks[name] for name in classes}


def make_strips(utterances: Sequence[Predicted], classes: Sequence[str]) -> list[Strip]:
    """Strips of equal length that cover all utterances, without those in which nobody speaks."""
    looks = looks_of(classes)
    end_s = max(each.end_ms for each in utterances) / 1000
    length = next(
        (length for length in STRIP_LENGTHS_S if end_s <= MOST_STRIPS * length),
        round(end_s / MOST_STRIPS) + 1,
    )
    strips = []
    for start in range(0, int(end_s) + 1, length):
        lanes: dict[str, list[Bar]] = {}
        for number, each in enumerate(utterances, 1):
            left = max(each.start_ms / 1000 - start, 0)
            right = min(each.end_ms / 1000 - start, length)
            if left < right:
                title = f"{each.speaker or UNKNOWN}: {each.prediction} {each.probability:.2f} – {each.text}"
                bar = Bar(
                    left=round(100 * left / length, 3),
                    width=round(100 * (right - left) / length, 3),
                    height=round(100 * each.probability, 1),
                    look=looks[each.prediction],
                    title=title,
                    unsure=each.probability < UNSURE_BELOW,
                    row=number,
                )
                lanes.setdefault(each.speaker or UNKNOWN, []).append(bar)
        if lanes:
            strips.append(Strip(start, start + length, dict(sorted(lanes.items()))))
    return strips


def clock(seconds: float) -> str:
    """A time for people: ``1:02``, with hours where there are some.

    >>> clock(62.4), clock(3723)
    ('1:02', '1:02:03')
    """
    whole = int(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
