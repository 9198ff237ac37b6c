"""What a corpus reader returns, whatever the raw data set looks like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.manifest import Utterance
from pipeline.params import CorpusParams, KindOf, read_kind

FORMATS = "pipeline.corpora"
SPLITS = ("train", "dev", "test")


class Annotation(NamedTuple):
    """An annotated utterance and where its picture and sound should be."""

    utterance: Utterance
    media: str
    """File of picture and sound relative to the root, which may be missing; empty if none is named."""
    audio: str = ""
    """A sound file of its own, whole; empty where the sound is that of ``media`` over the same span."""
    start_s: float | None = None
    """Start of the utterance in ``media``; None for the whole file."""
    end_s: float | None = None
    """End of the utterance in ``media``; None for the whole file."""
    crop: str = ""
    """Part of the picture that shows the speaker, as in manifest.Medium."""


class Corpus(NamedTuple):
    """An annotated corpus."""

    annotations: list[Annotation]
    """By split (train, dev, test), dialogue and position; the utterances of a dialogue are contiguous."""
    notes: dict[str, int]
    """How many annotated lines are no utterances of the set by its definition, by reason."""
    remarks: Sequence[str] = ()
    """What was read otherwise than it is written, or is odd, in words."""


def read_format(corpus: str, params: CorpusParams) -> KindOf:
    """The module that reads a corpus, and its params; UserError, naming keys, where they are wrong."""
    return read_kind(FORMATS, params.format, f"corpora.{corpus}.format")
