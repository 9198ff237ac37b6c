"""Imports go one way, so that a room can be read, tested and changed without those that are built on it."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from pipeline.store.code import PACKAGES, PROJECT

FLAT = {"pipeline.errors", "pipeline.manifest", "pipeline.params", "pipeline.runtime"}
"""What everybody reads."""
MAY_IMPORT: dict[str, set[str]] = {
    "pipeline.errors": set(),
    "pipeline.manifest": {"pipeline.errors", "pipeline.store"},
    "pipeline.params": {"pipeline.errors", "pipeline.params_file"},
    "pipeline.params_file": {"pipeline.errors"},
    "pipeline.runtime": {"pipeline.errors"},
    "pipeline.store": set(),
    "pipeline.work": {"pipeline.store"},
    "pipeline.media": {"pipeline.store"},
    "pipeline.corpora": {"pipeline.work"},
    "pipeline.speakers": {"pipeline.media"},
    "pipeline.encoders": {"pipeline.media", "pipeline.speakers", "pipeline.store", "pipeline.work"},
    "pipeline.faces": {"pipeline.encoders", "pipeline.media", "pipeline.speakers", "pipeline.store"},
    "pipeline.features": {"pipeline.store"},
    "pipeline.exports": {"pipeline.corpora", "pipeline.features", "pipeline.store"},
    "pipeline.report": {
        *("pipeline.corpora", "pipeline.features", "pipeline.media", "pipeline.store"),
        *("pipeline.speakers.choice", "pipeline.transcripts.predicted"),
    },
    "pipeline.transcripts": {
        "pipeline.corpora",
        "pipeline.exports.shared",
        "pipeline.media",
        "pipeline.store",
    },
    "pipeline.console": {
        *("pipeline.corpora", "pipeline.encoders", "pipeline.faces", "pipeline.media"),
        *(
            "pipeline.exports",
            "pipeline.features",
            "pipeline.report",
            "pipeline.store",
            "pipeline.transcripts",
        ),
    },
    "train": {
        *("pipeline.features", "pipeline.report.f1", "pipeline.report.fonts", "pipeline.store"),
        *("pipeline.report.bootstrap", "pipeline.report.charts", "pipeline.report.predicted"),
        "pipeline.report.results",
        "pipeline.transcripts",
    },
    "train.console": {
        *("pipeline.console.shared", "pipeline.features", "pipeline.store", "pipeline.transcripts", "train"),
    },
    "stages": {"pipeline", "train"},
}
"""Room to the rooms that it may import, beside itself and what everybody reads."""


def imports() -> list[tuple[str, str]]:
    """(importing module, imported module) of the whole project, wherever in a module it stands."""
    modules = {name_of(path): path for package in PACKAGES for path in (PROJECT / package).rglob("*.py")}
    found = []
    for name, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                whole = [f"{node.module}.{alias.name}" for alias in node.names]
                imported = [each if each in modules else str(node.module) for each in whole]
            else:
                continue
            found += [(name, each) for each in imported if each.split(".")[0] in PACKAGES]
    return found


def name_of(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_in(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def room_of(module: str) -> str:
    """The innermost room that a module is in; the package ``pipeline`` itself is none."""
    return max((room for room in MAY_IMPORT if is_in(module, room)), key=len, default=module)


def test_a_module_imports_its_own_room_what_everybody_reads_and_the_rooms_below() -> None:
    wrong = []
    for module, imported in imports():
        room = room_of(module)
        allowed = {room, *MAY_IMPORT[room], *(() if room in FLAT else FLAT)}
        if not any(is_in(imported, each) for each in allowed):
            wrong.append(f"{module} imports {imported}")
    assert wrong == []


def test_every_room_has_its_rule() -> None:
    rooms = {name_of(path) for path in (PROJECT / "pipeline").glob("[!_]*")}
    assert rooms == {room for room in MAY_IMPORT if is_in(room, "pipeline")}


def test_no_two_rooms_need_each_other() -> None:
    graph: dict[str, set[str]] = {}
    for module, imported in imports():
        if room_of(module) != room_of(imported):
            graph.setdefault(room_of(module), set()).add(room_of(imported))
    TopologicalSorter(graph).prepare()  # CycleError names them


def test_a_stage_imports_no_other() -> None:
    assert [pair for pair in imports() if is_in(pair[1], "stages") and pair[0] != pair[1]] == []


def packages() -> list[Path]:
    return [path for package in PACKAGES for path in (PROJECT / package).rglob("__init__.py")]


@pytest.mark.parametrize("path", packages(), ids=name_of)
def test_a_package_says_what_lives_there(path: Path) -> None:
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert said
    assert len(said.split()) >= 5


def with_examples() -> list[str]:
    paths = [path for package in PACKAGES for path in (PROJECT / package).rglob("*.py")]
    return [name_of(path) for path in sorted(paths) if re.search(r"^\s*>>> ", path.read_text("utf-8"), re.M)]


@pytest.mark.parametrize("module", with_examples())
def test_the_examples_in_docstrings_give_what_they_show(module: str) -> None:
    tried = doctest.testmod(importlib.import_module(module))
    assert tried.attempted > 0
    assert tried.failed == 0
