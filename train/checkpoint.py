"""The state of a training run on disk, so that a run that was killed goes on where it was."""

from __future__ import annotations

import time
from io import BufferedWriter
from pathlib import Path
from typing import Any

import torch

from pipeline.store.atomic import replace_file

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
        with replace_file(self.path, lasting=False) as raw:
            file = BufferedWriter(raw)  # a raw one may write a part
            torch.save(state, file)
            file.detach()  # flushes
        end = time.monotonic()
        self._due_s = end + (end - start) / SHARE_OF_TIME
