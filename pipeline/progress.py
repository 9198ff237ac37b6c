"""How far a stage is: a bar in a terminal, a plain line now and then in a log file."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

LINE_EVERY_S = 30.0


class Progress:
    """Counts dialogues and utterances done and says what time remains; a context manager."""

    def __init__(self, stage: str, dialogues: int, utterances: int) -> None:
        self._stage = stage
        self._dialogues, self._dialogues_done = dialogues, 0
        self._utterances, self._utterances_done = utterances, 0
        self._started = self._said = time.monotonic()
        # A log file shows every redrawing of a bar, control characters and all.
        self._bar: tqdm | None = None
        if sys.stdout.isatty():
            self._bar = tqdm(
                total=utterances,
                desc=stage,
                unit=" utterances",
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
        elif self._dialogues_done:
            elapsed = tqdm.format_interval(time.monotonic() - self._started)
            self.say(f"{self._counts()}, {elapsed} elapsed")

    def advance(self, utterances: int) -> None:
        """One dialogue of so many utterances is done."""
        self._dialogues_done += 1
        self._utterances_done += utterances
        now = time.monotonic()
        if self._bar is not None:
            self._bar.set_postfix_str(f"{self._dialogues_done}/{self._dialogues} dialogues", refresh=False)
            self._bar.update(utterances)
        elif now - self._said > LINE_EVERY_S and self._utterances_done < self._utterances:
            self._said = now
            left = self._utterances - self._utterances_done
            remaining_s = (now - self._started) / self._utterances_done * left
            self.say(f"{self._counts()}, {tqdm.format_interval(remaining_s)} left")

    def say(self, line: str) -> None:
        """Print a line without tearing the bar."""
        tqdm.write(f"{self._stage}: {line}", file=sys.stdout)
        sys.stdout.flush()

    def _counts(self) -> str:
        return (
            f"{self._dialogues_done}/{self._dialogues} dialogues,"
            f" {self._utterances_done}/{self._utterances} utterances"
        )
