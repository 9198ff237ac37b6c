"""What the user can mend: the one exception that stands for it, how its words are shown, and full disks."""

from __future__ import annotations

import copyreg
import csv
import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

LONGEST_LINE = 700
LONGEST_MESSAGE_BYTES = 4000
"""A terminal's page or two, however much is wrong."""

# Troubles of a disk, which are the user's to mend, wherever in a library they come up.
DISK_TROUBLES = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES),
    *(errno.EIO, errno.ESTALE),
)
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

    def __reduce__(self) -> tuple[Any, ...]:
        """Made again from its message, as it leaves a worker, whatever a subclass is made from."""
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]


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


@contextmanager
def reading_output(path: Path) -> Iterator[None]:
    """While a stage's output is read: UserError, with what makes it, where it is absent or is none."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path} not found: run dvc repro, which makes it") from None
    except (LookupError, ValueError, TypeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error!r}); run dvc repro, which makes it") from None


def disk_trouble(error: BaseException) -> str:
    """A message that names file and trouble, if an error comes from a disk that is full, closed or broken.

    Else empty.
    """
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in DISK_TROUBLES:
            return _advise(cause.filename or Path.cwd(), cause.strerror or "")
        for number in DISK_TROUBLES:  # a library that is no Python gives the words alone
            if os.strerror(number) in str(cause):
                return _advise(Path.cwd(), os.strerror(number))
        if any(words in str(cause) for words in PYTORCH_CANNOT_WRITE):
            return _advise(Path.cwd(), "a file could not be written")
    return ""


def was_interrupted(error: BaseException) -> bool:
    """Whether it comes from Ctrl-C, in whose midst PyTorch's writer fails in a way of its own."""
    return any(isinstance(cause, KeyboardInterrupt) for cause in _causes(error))


def _advise(path: object, trouble: str) -> str:
    return printable(f"{path}: {trouble}; free space, or mend permissions or the disk")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those in whose handling it came up."""
    while error is not None:
        yield error
        error = error.__context__
