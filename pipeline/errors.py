"""The one exception that stands for a mistake the user can mend, how what it quotes is shown, and disks."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

LONGEST_LINE = 700
LONGEST_MESSAGE_BYTES = 4000
"""A terminal's page or two, however much is wrong."""

# Troubles of a disk, which are the user's to mend, wherever in a library they come up.
DISK_TROUBLES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)
PYTORCH_CANNOT_WRITE = ("PytorchStreamWriter failed writing", "unexpected pos")

# Control characters act on a terminal (clear it, retitle it, write over what stands there), and those of
# direction show a line in another order than it has; line ends and tabs are what they seem.
_ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class UserError(Exception):
    """Bad input: the message names the file, the utterance or key, and what to do about it.

    A stage prints the message on one line, without a traceback, and exits with status 1.
    Everything else that is raised is a defect of ours and keeps its traceback.  What the message quotes may
    be of any length and hold any character: it is kept ``printable``.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: str) -> str:
    r"""Text for a terminal or a table: one or more lines, of bounded size, that only show what they hold.

    Characters that act become escapes.  A long line loses its middle, since its start says where something
    is wrong and its end what to do; of many lines the last are counted.

    >>> printable("label 'a\x1b[2Jb' is unknown")
    "label 'a\\u001b[2Jb' is unknown"
    """
    lines = [shorten(escape(line)) for line in text.split("\n")]
    sizes = list(accumulate(len(line.encode()) + 1 for line in lines))
    if sizes[-1] <= LONGEST_MESSAGE_BYTES:
        return "\n".join(lines)
    kept = sum(size < LONGEST_MESSAGE_BYTES - 50 for size in sizes)
    return "\n".join([*lines[:kept], f"and {len(lines) - kept} more lines"])


def escape(text: str) -> str:
    r"""Text with escapes, as JSON and Python know them, for characters that act.

    >>> escape("\x07\tfine\n")
    '\\u0007\tfine\n'
    """
    return _ACTING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def shorten(line: str, longest: int = LONGEST_LINE) -> str:
    """A line of at most ``longest`` characters: where it is longer, its start and its end.

    >>> shorten("annotations.csv: " + "x" * 1000 + " is no word", 80)
    'annotations.csv: xxxxxxxxxxxxxxxx [… 979 characters …] xxxxx is no word'
    """
    if len(line) <= longest:
        return line
    start, end = longest * 2 // 3 - 20, longest // 3 - 10
    return f"{line[:start]} [… {len(line) - start - end} characters …] {line[-end:]}"


def disk_trouble(error: BaseException) -> str:
    """File and trouble, if an error comes from a disk that is full or closed to the user; else empty."""
    advice = "free space or mend permissions"
    for cause in causes(error):
        if isinstance(cause, OSError) and cause.errno in DISK_TROUBLES:
            return f"{cause.filename or Path.cwd()}: {cause.strerror}; {advice}"
        for number in DISK_TROUBLES:  # a library that is no Python gives the words alone
            if os.strerror(number) in str(cause):
                return f"{Path.cwd()}: {os.strerror(number)}; {advice}"
        if any(words in str(cause) for words in PYTORCH_CANNOT_WRITE):
            return f"{Path.cwd()}: a file could not be written; {advice}"
    return ""


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those in whose handling it came up: PyTorch's writer fails where Ctrl-C interrupts it."""
    while error is not None:
        yield error
        error = error.__context__
