"""What a message may quote, and how it is shown."""

from __future__ import annotations

import ast
import importlib
import pickle
from pathlib import Path

import pytest

from pipeline.errors import LONGEST_MESSAGE_BYTES, UserError, printable
from pipeline.media.opening import MediaError
from pipeline.report.predicted import read_predicted

PROJECT = Path(__file__).parents[1]


@pytest.mark.parametrize("kind", [UserError, MediaError])
def test_control_characters_of_the_input_are_shown_and_not_obeyed(kind: type[Exception]) -> None:
    said = str(kind("label 'a\x1b[2J\x07\x9b1m\u202eb\ud800' is unknown\r"))
    assert said == r"label 'a\u001b[2J\u0007\u009b1m\u202eb\ud800' is unknown\u000d"


def test_the_lines_of_a_message_stay() -> None:
    assert str(UserError("a: wrong\n\tb: größer, 悲しい")) == "a: wrong\n\tb: größer, 悲しい"


@pytest.mark.parametrize("quoted", ["x" * 10**6, "😀" * 10**5, "\x1b" * 10**5])
def test_a_long_value_leaves_where_it_stands_and_what_to_do(quoted: str) -> None:
    said = str(UserError(f"table.csv, line 3: label {quoted} is unknown: write one of joy, anger"))
    assert said.startswith("table.csv, line 3: label ")
    assert said.endswith(" is unknown: write one of joy, anger")
    assert "characters …]" in said
    assert len(said.encode()) < LONGEST_MESSAGE_BYTES


def test_of_many_lines_the_first_are_shown_and_the_others_counted() -> None:
    said = str(UserError("\n".join(f"line {number} is wrong" for number in range(10_000))))
    assert len(said.encode()) <= LONGEST_MESSAGE_BYTES
    first, *_, last = said.split("\n")
    assert first == "line 0 is wrong"
    assert last == f"and {10_000 - said.count('is wrong')} more lines"


@pytest.mark.parametrize(
    "text", ["x" * 10**4, "é\n" * 10**4, ("y" * 999 + "\n") * 30, "\x1b" * 10**4, "", "\n"]
)
def test_what_is_printable_stays_as_it_is(text: str) -> None:
    error = UserError(text)
    assert printable(str(error)) == str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def find_kinds() -> list[tuple[str, str]]:
    """Module and name of every class below UserError."""
    names, found = {"UserError"}, []
    paths = [
        path for package in ("pipeline", "train", "stages") for path in (PROJECT / package).rglob("*.py")
    ]
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and names & {ast.unparse(base) for base in node.bases}:
                names.add(node.name)
                found.append((".".join(path.relative_to(PROJECT).with_suffix("").parts), node.name))
    return found


@pytest.mark.parametrize(("module", "name"), find_kinds())
def test_every_kind_of_error_leaves_a_worker_as_it_is(module: str, name: str) -> None:
    kind = getattr(importlib.import_module(module), name)
    error = kind.__new__(kind, "a.mp4: broken")
    error.strerror = "broken"
    error.add_note("while at dialogue d0")
    received = pickle.loads(pickle.dumps(error))
    assert (type(received), str(received), vars(received)) == (kind, str(error), vars(error))


@pytest.mark.parametrize("content", ["", "id\na\n", "id,dialogue\na\n", "x" * 200_000])
def test_an_output_that_is_none_is_named_with_what_makes_it(content: str, tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    with pytest.raises(UserError, match=r"predictions\.csv not found: run dvc repro, which makes it$"):
        read_predicted(path)
    path.write_text(content)
    with pytest.raises(
        UserError, match=r"predictions\.csv: cannot be read \(.*run dvc repro, which makes it$"
    ):
        read_predicted(path)
