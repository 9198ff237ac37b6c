"""A fuzz target of which one input goes wrong in each way that there is."""

from __future__ import annotations

import os
import time
from pathlib import Path
from random import Random


def make(random: Random, folder: Path) -> None:
    """The input says which it is."""
    numbers = {Random(seed).random(): seed for seed in range(6)}
    (folder / "input").write_text(str(numbers[random.random()]))


def attempt(folder: Path) -> str:
    """Go wrong in the way of the input."""
    number = int((folder / "input").read_text())
    if number == 1:
        raise ValueError("one of ours")
    if number == 2:
        time.sleep(100)
    if number == 3:
        held = bytearray(os.urandom(1 << 20) * 600)
        time.sleep(1)
        return str(len(held))
    if number == 4:
        os.abort()
    return "read"
