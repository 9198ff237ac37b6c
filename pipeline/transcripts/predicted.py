"""What a model says of a recording, for writers of any format."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from pipeline.params import kinds_in
from pipeline.transcripts.content import NO_TEXT

WRITERS = "pipeline.transcripts.writers"
UNKNOWN = "unknown"
"""What a speaker without a name is called where there must be one."""


class Predicted(NamedTuple):
    """An utterance with the model's most probable class."""

    start_ms: int
    end_ms: int
    speaker: str
    text: str
    prediction: str
    probability: float
    """Of the prediction, from 0 to 1."""
    source: tuple[str, str] = ("", "")
    """Tier and id of the annotation that it was imported from; empty where there was none."""


class Recording(NamedTuple):
    """One film, or one dialogue of it."""

    name: str
    """What its files are called, without suffix."""
    media: str
    """Base name of the film; empty if unknown."""
    utterances: Sequence[Predicted]
    classes: Sequence[str]
    model: str
    """What predicted, in words."""

    def shown(self) -> Recording:
        """The same, on one line each and without characters that are no text in files of tools."""
        clean = [
            each._replace(speaker=_shown(each.speaker), text=_shown(each.text)) for each in self.utterances
        ]
        return self._replace(utterances=clean, model=_shown(self.model))

    def by_speaker(self) -> dict[str, list[Predicted]]:
        """Utterances in time, by speaker in the order in which they appear."""
        speakers: dict[str, list[Predicted]] = {}
        for each in sorted(self.utterances, key=lambda each: (each.start_ms, each.end_ms)):
            speakers.setdefault(each.speaker or UNKNOWN, []).append(each)
        return speakers


def _shown(text: str) -> str:
    return " ".join(NO_TEXT.sub("\ufffd", text).split())


def writers() -> dict[str, Any]:
    """Module of each format by its suffix."""
    modules: list[Any] = [importlib.import_module(f"{WRITERS}.{name}") for name in kinds_in(WRITERS)]
    return {module.SUFFIX: module for module in modules}


def lanes(utterances: Iterable[Predicted]) -> list[list[Predicted]]:
    """Utterances in time, on as few lanes as hold them without overlap."""
    found: list[list[Predicted]] = []
    for each in utterances:
        free = next((lane for lane in found if lane[-1].end_ms <= each.start_ms), None)
        if free is None:
            found.append([each])
        else:
            free.append(each)
    return found
