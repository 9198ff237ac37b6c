"""What a corpus reader returns, whatever the raw data set looks like."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.manifest import Utterance


class Annotation(NamedTuple):
    """An annotated utterance and where its picture and sound should be."""

    utterance: Utterance
    media: str
    """Path of the clip relative to the corpus root; the file may be missing."""
