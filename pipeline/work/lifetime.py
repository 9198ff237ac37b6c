"""When a stage ends: by Ctrl-C, by SIGTERM, and with the DVC that runs it, however that one ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LOOK_EVERY_S = 0.5


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM, and the end of the DVC that runs this process, do what Ctrl-C does.

    A stage that outlived a killed DVC would get in the way of the next one.
    """
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=_stop_when_orphaned, args=(os.getppid(),), daemon=True).start()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop_when_orphaned(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
