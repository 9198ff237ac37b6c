"""Praat's .TextGrid: three tiers per speaker, of words, predictions and probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.transcripts.predicted import Predicted, Recording, lanes

SUFFIX = ".TextGrid"


def write(recording: Recording) -> bytes:
    """A long text file in UTF-8; what one speaker says at the same time stands in more tiers, ``Ann (2)``."""
    end_ms = max(each.end_ms for each in recording.utterances)
    tiers: list[tuple[str, list[tuple[int, int, str]]]] = []
    for speaker, utterances in recording.by_speaker().items():
        for number, lane in enumerate(lanes(utterances), 1):
            name = speaker if number == 1 else f"{speaker} ({number})"
            tiers.append((name, _intervals(lane, [each.text for each in lane], end_ms)))
            tiers.append((f"predicted@{name}", _intervals(lane, [each.prediction for each in lane], end_ms)))
            shares = [f"{each.probability:.2f}" for each in lane]
            tiers.append((f"probability@{name}", _intervals(lane, shares, end_ms)))
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', ""]
    lines += [f"xmin = 0 \nxmax = {_s(end_ms)} \ntiers? <exists> \nsize = {len(tiers)} \nitem []: "]
    for place, (name, intervals) in enumerate(tiers, 1):
        lines += [f'    item [{place}]:\n        class = "IntervalTier" \n        name = {_quoted(name)} ']
        lines += [f"        xmin = 0 \n        xmax = {_s(end_ms)} "]
        lines += [f"        intervals: size = {len(intervals)} "]
        for number, (start, end, text) in enumerate(intervals, 1):
            lines += [f"        intervals [{number}]:\n            xmin = {_s(start)} "]
            lines += [f"            xmax = {_s(end)} \n            text = {_quoted(text)} "]
    return ("\n".join(lines) + "\n").encode()


def _intervals(lane: Sequence[Predicted], texts: Sequence[str], end_ms: int) -> list[tuple[int, int, str]]:
    """From 0 to the end without gaps, as Praat needs them."""
    found: list[tuple[int, int, str]] = []
    at = 0
    for each, text in zip(lane, texts, strict=True):
        if each.start_ms > at:
            found.append((at, each.start_ms, ""))
        found.append((each.start_ms, each.end_ms, text))
        at = each.end_ms
    return [*found, (at, end_ms, "")] if at < end_ms else found


def _s(ms: int) -> str:
    return f"{ms / 1000:.3f}".rstrip("0").rstrip(".")


def _quoted(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'
