"""A folder that one run at a time may use."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def only_run(folder: Path) -> Iterator[int]:
    """Make a folder and keep it from other runs of this project, waiting for one that has it.

    Gives the lock, as a descriptor.  Whoever has waited must look whether the work is done and the folder
    gone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another run that works in {folder}", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


@contextmanager
def unless_used(folder: Path) -> Iterator[bool]:
    """Whether no run has the folder; if so, none gets it before the context is left."""
    lock, free = None, False
    try:
        with suppress(OSError):  # it is locked, gone, or none of ours
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        yield free
    finally:
        if lock is not None:
            os.close(lock)
