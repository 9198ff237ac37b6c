"""The emotions of each corpus format, in the order in which published feature files number them.

Apart from the readers, so that a change in how a corpus is read does not count as one in its classes.
"""

from __future__ import annotations

from collections.abc import Iterable

MELD = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
IEMOCAP = ("happiness", "sadness", "neutral", "anger", "excitement", "frustration")

_BY_FORMAT = {"meld": MELD, "iemocap": IEMOCAP}


def label_names(format_name: str, labels: Iterable[str]) -> tuple[str, ...]:
    """The emotions of a format; those of a table are the ``labels`` that occur in it, sorted.

    >>> label_names("table", ["joy", "", "anger", "joy"])
    ('anger', 'joy')
    """
    return _BY_FORMAT.get(format_name) or tuple(sorted({label for label in labels if label}))
