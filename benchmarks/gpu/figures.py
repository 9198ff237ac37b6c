"""Figures as they are found: lines of JSON, in the end one Markdown table and one JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

PARTS = "parts.jsonl"


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    part: str
    what: str
    value: float | str
    unit: str = ""
    note: str = ""
    """A goal, or what the figure stands beside."""


@dataclass(frozen=True)
class Figures:
    """Where a part of the benchmark puts what it finds."""

    folder: Path
    part: str

    def add(self, what: str, value: float | str, unit: str = "", note: str = "") -> None:
        """Keep a figure, and print it."""
        figure = Figure(self.part, what, value, unit, note)
        with (self.folder / PARTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(figure)) + "\n")
        print(f"{what}: {_shown(value)} {unit}{f' ({note})' if note else ''}", flush=True)


def read(folder: Path) -> list[Figure]:
    """All that was found, in the order in which it was."""
    lines = (folder / PARTS).read_text(encoding="utf-8").splitlines()
    return [Figure(**json.loads(line)) for line in lines]


def write_tables(folder: Path, machine: str) -> None:
    """gpu.md and gpu.json."""
    found = read(folder)
    rows = [f"| {f.part} | {f.what} | {_shown(f.value)} {f.unit} | {f.note} |" for f in found]
    table = "\n".join([machine, "", "| | | | |", "|---|---|---|---|", *rows, ""])
    (folder / "gpu.md").write_text(table, encoding="utf-8")
    content = {"machine": machine, "figures": [asdict(figure) for figure in found]}
    (folder / "gpu.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"\n{table}")


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
