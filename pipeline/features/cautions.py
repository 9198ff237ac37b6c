"""What to know of an encoder before its features are trusted, or sold: told by its name and its licence."""

from __future__ import annotations

import re
from collections.abc import Mapping

# Models that were trained on the labels of corpora of conversations, their test splits among them, by what
# their names hold; from their model cards.
_TRAINED_ON = {
    r"superb-er\b": ("IEMOCAP",),
    r"emotion-recognition-wav2vec2-IEMOCAP": ("IEMOCAP",),
    r"emotion2vec(_plus|\+)": ("IEMOCAP", "MELD"),
    r"emoberta": ("IEMOCAP", "MELD"),
    r"emotion-english-(distil)?roberta": ("MELD",),
}
# Libraries whose own licence forbids it, whatever the weights.
_RESEARCH_ONLY = {"opensmile": "audEERING's research licence"}


def is_untrained(encoder: str) -> bool:
    """Whether an encoder has random weights, by its description: its features say nothing."""
    return encoder.startswith("UNTRAINED")


def seen_labels(encoder: str) -> tuple[str, ...]:
    """Corpora whose labels an encoder has seen in training, by its description: scores on them say little."""
    seen = [corpora for name, corpora in _TRAINED_ON.items() if re.search(name, encoder, re.IGNORECASE)]
    return tuple(dict.fromkeys(corpus for corpora in seen for corpus in corpora))


def describe_seen(encoder: str) -> str:
    """The same in words; empty for one that is not known to have seen any."""
    corpora = seen_labels(encoder)
    return f"trained on labels of {' and '.join(corpora)}, the test split's among them" if corpora else ""


def non_commercial(licence: str, versions: Mapping[str, str]) -> str:
    """The licence, of an encoder's weights or library, that forbids commercial use; empty if none does."""
    if re.search(r"\bnc\b|non-?commercial|research", licence, re.IGNORECASE):
        return licence
    return next((words for library, words in _RESEARCH_ONLY.items() if library in versions), "")
