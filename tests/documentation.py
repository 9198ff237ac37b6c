"""The code blocks of README.md and docs/ that are marked ``sh runnable`` or ``python runnable``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[1]
DOCUMENTS = (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")))

_BLOCK = re.compile(r"^```(\w+) runnable\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One block: it runs in the project's folder after ``dvc repro``, and fails if one of its lines does."""

    document: str
    line: int
    language: str
    code: str

    @property
    def command(self) -> list[str]:
        """How to run it."""
        runners = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": ["python", "-c"]}
        return [*runners[self.language], self.code]


def runnable_blocks() -> list[Block]:
    """All runnable blocks, in the order of the documents."""
    return [
        Block(document.name, text[: found.start()].count("\n") + 1, found[1], found[2])
        for document in DOCUMENTS
        for text in [document.read_text(encoding="utf-8")]
        for found in _BLOCK.finditer(text)
    ]
