"""The layouts of raw data sets that can be read, by the name that ``format`` in params.yaml gives."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pipeline.corpora import meld
from pipeline.corpora.layout import Annotation
from pipeline.errors import UserError

_READERS = {"meld": meld.read_meld}
_LABELS = {"meld": meld.LABELS}
_CONTENT = {"meld": meld.CONTENT}


def read_corpus(format_name: str, root: Path) -> list[Annotation]:
    """All annotated utterances below ``root``, dialogue by dialogue; UserError if they cannot be read."""
    annotations = _READERS[format_name](root)
    repeated = [id for id, count in Counter(row.utterance.id for row in annotations).items() if count > 1]
    if repeated:
        raise UserError(f"{root}: annotated more than once: {', '.join(repeated[:5])}; keep one row of each")
    return annotations


def label_names(format_name: str) -> tuple[str, ...]:
    """The emotions of a format, in the order in which published feature files number them."""
    return _LABELS[format_name]


def expected_content(format_name: str) -> str:
    """What the root folder of a format holds, in words, for errors."""
    return _CONTENT[format_name]
