"""When processes end: with the one that started them, however that one ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

LOOK_EVERY_S = 0.5


def end_with_parent(parent: int) -> None:
    """Make this process end when its parent does, and leave Ctrl-C to the parent.

    A process whose parent is killed hears nothing of it, and a terminal's Ctrl-C reaches every process;
    the parent answers it, and ends its processes.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _when_orphaned(parent, partial(os._exit, 1))


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM, and the end of the DVC that runs this process, do what Ctrl-C does.

    A stage that outlived a killed DVC would get in the way of the next one.
    """
    if "DVC_STAGE" in os.environ:
        _when_orphaned(os.getppid(), partial(os.kill, os.getpid(), signal.SIGTERM))
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _when_orphaned(parent: int, then: Callable[[], object]) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_EVERY_S)
        then()

    threading.Thread(target=watch, daemon=True).start()
