"""How far a stage is: a bar in a terminal, a plain line now and then in a log file."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

from pipeline import runtime

LINE_EVERY_S = 30.0


class Progress:
    """Counts what is done and says what time remains; a context manager.

    ``Progress("faces", dialogues=16, utterances=80)``: totals by their unit, of which the last measures
    the work best; the remaining time is reckoned by it.
    """

    def __init__(self, stage: str, **totals: int) -> None:
        self._stage = stage
        self._totals = totals
        self._done = dict.fromkeys(totals, 0)
        self._measure = list(totals)[-1]
        self._resumed = 0
        self._started = self._said = time.monotonic()
        # A log file shows every redrawing of a bar, control characters and all; bars of workers tear.
        self._bar: tqdm | None = None
        if sys.stdout.isatty() and runtime.WORKER_INDEX not in os.environ:
            self._bar = tqdm(
                total=totals[self._measure],
                desc=stage,
                unit=f" {self._measure}",
                file=sys.stdout,
                dynamic_ncols=True,
                smoothing=0,  # the longest dialogues come first: the latest speed says little
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        elif any(self._done.values()):
            elapsed = tqdm.format_interval(time.monotonic() - self._started)
            self.say(f"{', '.join(self._counts())}, {elapsed} elapsed")

    def resume(self, **done: int) -> None:
        """So much was done by an earlier run, by unit; it says nothing of this one's speed."""
        self._add(done)
        self._resumed += done[self._measure]
        if self._bar is not None:
            self._bar.initial = self._bar.n = self._done[self._measure]
            self._bar.refresh()

    def advance(self, note: str = "", /, **done: int) -> None:
        """So much more is done, by unit; ``note`` says how it went."""
        self._add(done)
        now = time.monotonic()
        if self._bar is not None:
            shown = [*self._counts()[:-1], note]
            self._bar.set_postfix_str(", ".join(filter(None, shown)), refresh=False)
            self._bar.update(done.get(self._measure, 0))
        elif now - self._said > LINE_EVERY_S and (left := self._left()):
            self._said = now
            per_s = (self._done[self._measure] - self._resumed) / (now - self._started)
            remaining = f"{tqdm.format_interval(left / per_s)} left" if per_s else ""
            self.say(", ".join(filter(None, [*self._counts(), remaining, note])))

    def say(self, line: str) -> None:
        """Print a line without tearing the bar."""
        if self._bar is None:  # a whole line at a time, as several workers may print
            sys.stdout.write(f"{self._stage}: {line}\n")
        else:
            tqdm.write(f"{self._stage}: {line}", file=sys.stdout)
        sys.stdout.flush()

    def _add(self, done: dict[str, int]) -> None:
        for unit, count in done.items():
            self._done[unit] += count

    def _left(self) -> int:
        return self._totals[self._measure] - self._done[self._measure]

    def _counts(self) -> list[str]:
        return [f"{self._done[unit]}/{total} {unit}" for unit, total in self._totals.items()]
