"""The layouts of raw data sets that can be read, by the name that ``format`` in params.yaml gives."""

from __future__ import annotations

from pathlib import Path

from pipeline.corpora.annotations.corpus import Corpus
from pipeline.corpora.iemocap import read_iemocap
from pipeline.corpora.meld import read_meld
from pipeline.corpora.table import read_table
from pipeline.errors import UserError
from pipeline.params import CorpusParams

_CONTENT = {
    "meld": "MELD.Raw: train_sent_emo.csv, dev_sent_emo.csv, test_sent_emo.csv and the folders of clips",
    "iemocap": "IEMOCAP_full_release: the folders Session1 to Session5",
    "table": "annotations.csv, annotations.tsv or annotations.jsonl and the media files that it names",
}


def read_corpus(params: CorpusParams, name: str) -> Corpus:
    """The corpus of ``corpora.<name>``: every annotated row is in it or counted in its notes.

    Raises UserError with the first mistakes, by file and line, if a row is neither.
    """
    root = Path(params.root)
    try:
        match params.format:
            case "meld":
                return Corpus(read_meld(root), notes={})
            case "iemocap":
                return read_iemocap(root)
            case "table":
                return Corpus(read_table(root, outside_media=params.outside_media), notes={})
    except UserError as error:
        raise UserError(f"corpora.{name}: {error}") from None


def expected_content(format_name: str) -> str:
    """What the root folder of a format holds, in words, for errors."""
    return _CONTENT[format_name]
