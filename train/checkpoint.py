"""The state of a training run on disk, so that a run that was killed goes on where it was."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

SHARE_OF_TIME = 0.05
"""Saving takes at most about this share of a run: the state of a large network is not written after
every epoch if epochs are short."""


class Checkpoints:
    """One file, or none, that always holds one whole state."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._due_s = 0.0

    def load(self) -> dict[str, Any] | None:
        """The state, its tensors on the CPU; None if there is none or it cannot be read."""
        if self.path is None or not self.path.exists():
            return None
        try:
            # weights_only: reads tensors and plain values, and never runs what a file says.
            return torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception:  # a damaged file can raise anything; training from the start mends it
            return None

    def save(self, state: dict[str, Any], *, last: bool) -> None:
        """Keep a state instead of the one before; unless it is the last, not if it is too soon."""
        if self.path is None or (time.monotonic() < self._due_s and not last):
            return
        start = time.monotonic()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                torch.save(state, file)
            Path(temporary).replace(self.path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        end = time.monotonic()
        self._due_s = end + (end - start) / SHARE_OF_TIME
