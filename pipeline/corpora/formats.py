"""The layouts of raw data sets that can be read, by the name that ``format`` in params.yaml gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pipeline.corpora import meld
from pipeline.corpora.layout import Corpus
from pipeline.errors import UserError
from pipeline.params import CorpusParams

_READERS = {"meld": meld.read_meld}
_LABELS = {"meld": meld.LABELS}
_CONTENT = {"meld": meld.CONTENT}


def read_corpus(params: CorpusParams, name: str) -> Corpus:
    """The corpus of ``corpora.<name>``; UserError if it cannot be read whole."""
    annotations = _READERS[params.format](Path(params.root))
    repeated = [id for id, count in Counter(row.utterance.id for row in annotations).items() if count > 1]
    if repeated:
        raise UserError(
            f"corpora.{name}.root: {params.root}: annotated more than once: {', '.join(repeated[:5])};"
            f" keep one row of each"
        )
    return Corpus(annotations, notes={})


def label_names(format_name: str, labels: Iterable[str]) -> tuple[str, ...]:
    """The emotions of a format in the order in which published feature files number them."""
    return _LABELS[format_name]


def expected_content(format_name: str) -> str:
    """What the root folder of a format holds, in words, for errors."""
    return _CONTENT[format_name]
