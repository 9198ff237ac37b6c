"""The documents name what is there: links, messages, and code that runs on a feature file alone."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.corpora.annotations.labels import MELD
from pipeline.features.file import write_features
from pipeline.params import MODALITIES, Params
from pipeline.report.published import (
    KINDS,
    OURS,
    WITHOUT_MULTIATTN,
    WITHOUT_SWFC,
    WITHOUT_VISEXTNET,
    published_for,
)
from stages.code import check_model
from tests import small_features
from tests.documentation import DOCUMENTS, PROJECT, Block, runnable_blocks

ANYTHING = "…"
"""Stands, in the documents, for the part of a message that differs from case to case."""


@pytest.mark.parametrize(
    "block",
    [block for block in runnable_blocks() if block.language == "python"],
    ids=lambda block: block.document,
)
def test_a_python_example_runs_on_any_feature_file(tmp_path: Path, block: Block) -> None:
    write_features(tmp_path / "data/demo/features.h5", small_features.recordings())
    done = subprocess.run(
        [sys.executable, *block.command[1:]], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "14 utterances, visit1_0 is calm, audio (14, 30)" in done.stdout


def test_links_lead_to_files() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_lines_of_the_papers_tables_are_sixteen_models_that_can_be_trained() -> None:
    text = (PROJECT / "docs/results.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(joins:\n  meld_3dcnn.*?)^```$", text, re.MULTILINE | re.DOTALL)
    params = Params.model_validate(YAML(typ="safe").load(block))
    assert len(params.models) == 16
    for name, model in params.models.items():
        check_model(model, f"models.{name}")
    published = published_for(MELD)
    assert published is not None
    sets = [frozenset(model.modalities) for model in params.models.values() if model.modalities]
    assert {*sets, frozenset(MODALITIES)} == set(published.modalities)
    rows = {KINDS[model.network.kind] for model in params.models.values() if model.network.kind in KINDS}
    without = {OURS, WITHOUT_VISEXTNET, WITHOUT_MULTIATTN, WITHOUT_SWFC, "UniMSE", "MVN"}
    assert rows | without == set(published.models)


@cache
def messages() -> list[str]:
    """Every text of the program with a space in it, what differs from case to case as ANYTHING."""
    found = []
    for folder in ("pipeline", "stages", "train"):
        for path in (PROJECT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = [str(v.value) if isinstance(v, ast.Constant) else ANYTHING for v in node.values]
                    found.append("".join(parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return found


def quoted_messages() -> Iterator[tuple[int, str]]:
    """Line and message of each first cell of the tables in troubleshooting.md."""
    text = (PROJECT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), start=1):
        if found := re.match(r"\| `(.+?)` +\|", line):
            yield number, found[1]


def occurs(message: str) -> bool:
    """Whether a program's text reads so, up to what differs from case to case."""
    quoted = re.compile(".*".join(map(re.escape, message.split(ANYTHING))), re.DOTALL)
    for text in messages():
        if quoted.search(text):
            return True
        fixed = text.split(ANYTHING)
        # A text such as "… cannot be decoded: …" is also what a quoted "picture cannot be decoded" means.
        if len(fixed) > 1 and max(map(len, fixed)) > 12:
            pattern = ".*".join(map(re.escape, fixed))
            if re.match(pattern, message + ANYTHING, re.DOTALL):
                return True
    return False


def test_every_message_in_troubleshooting_is_one_that_the_program_writes() -> None:
    quoted = list(quoted_messages())
    assert len(quoted) > 60
    gone = [f"line {line}: {message}" for line, message in quoted if not occurs(message)]
    assert not gone, "docs/troubleshooting.md explains what no program says:\n" + "\n".join(gone)
