"""Whatever YAML can hold, params.yaml is read, or refused in one line by key."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.params_file.reading import MOST_BYTES, MOST_NODES, read_yaml


def write(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "params.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(path: Path) -> str:
    """The line by which a file is refused."""
    with pytest.raises(UserError) as raised:
        read_yaml(path)
    said = str(raised.value)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said
    return said.removeprefix(f"{path}: ")


def grow(first: str, template: str) -> str:
    """Nine lines of which each holds the one above ten times."""
    lines = [f"a0: &a0 {first}"]
    for number in range(1, 9):
        ten = ", ".join([f"*a{number - 1}"] * 10)
        lines.append(f"a{number}: &a{number} {template.replace('TEN', ten)}")
    return "\n".join(lines)


NO_PARAMS = {
    "models: {m: 2026-01-02}": "models.m: 2026-01-02 is a date to YAML: write it in quotes (line 1)",
    "models:\n  m: 2026-99-99": "models.m: 2026-99-99 is a date to YAML: write it in quotes (line 2)",
    "a:\n- b: !!int x": "a.0.b: has the tag tag:yaml.org,2002:int: write it without a tag (line 2)",
    "a: !!python/name:os.system x": "a: has the tag tag:yaml.org,2002:python/name:os.system:",
    "a: !!set {b, c}": "a: has the tag tag:yaml.org,2002:set: write it without",
    "!mine {a: 1}": "has the tag !mine: write it without",
    "a: =": "a: = is a value to YAML: write it in quotes",
    "a: <<": "a: << is a merge to YAML: write it in quotes",
    f"a: {'9' * 5000}": "a: a number of 5,000 characters (line 1)",
    f"a: 0x{'f' * 5000}": "a: a number of 5,002 characters (line 1)",
    f"a: {'x' * 5000}": "a: text of 5,000 characters (line 1)",
    'a: "b\\0c"': "a: 'b\\x00c' holds a control character or a line end (line 1)",
    'a: "\\e[2J"': "a: '\\x1b[2J' holds a control character or a line end (line 1)",
    'a: "\\ud800"': "a: '\\ud800' holds a control character or a line end (line 1)",
    "a: |\n  b\n": "a: 'b\\n' holds a control character or a line end (line 1)",
    "models: {2026: {}}": "models: the key 2026 is a number to YAML: write it in quotes (line 1)",
    "models: {true: {}}": "models: the key true is true or false to YAML: write it in quotes (line 1)",
    "models: {~: {}}": "models: the key ~ is nothing to YAML: write it in quotes (line 1)",
    "models: {2026-01-02: {}}": "models: 2026-01-02 is a date to YAML: write it in quotes (line 1)",
    "models: {[a, b]: {}}": "models: has a key that is a list or a mapping: write text (line 1)",
    "a: 1\nb: 2\na: 3": "the key 'a' stands there more than once, also in line 1 (line 3)",
    "a: &a {b: *a}": "a.b: stands within itself by an alias (*) (line 1)",
    grow("[1]", "[TEN]"): "a4: stands for more than 20,000 values by aliases (*) (line 5)",
    grow("{k: 1}", "{<<: [TEN]}"): "a4.<<: stands for more than 20,000 values by aliases (*) (line 5)",
    "\n".join(["a0: &a0 [1]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 30))]): (
        "a19: nested deeper than 20 levels by aliases (*) (line 20)"
    ),
    "[" * 100_000: "nested deeper than 20 levels (line 1)",
    "a: " + "- " * 5000: "line 1, column 4: not valid YAML: sequence entries are not allowed here",
    "- " * 5000: "nested deeper than 20 levels (line 1)",
    "\n".join(f"k{n}: {n}" for n in range(200_000)): "is larger than 256 kB",
    "[" + "1," * MOST_NODES + "]": "holds more than 10,000 keys and values",
    "a: 1\n---\na: 1": "line 2, column 1: not valid YAML: expected a single document in the stream:",
    "a: [b": "line 1, column 6: not valid YAML: while parsing a flow sequence: expected",
    "a: *b": "line 1, column 4: not valid YAML: found undefined alias 'b'",
    '"\\U00110000": 1': "not valid YAML: chr() arg not in range",
    "a: 1\nb: \0": "holds the character U+0000, which YAML does not allow (line 2)",
    "a: \x1b[2J": "holds the character U+001B, which YAML does not allow (line 1)",
}


@pytest.mark.parametrize("text", NO_PARAMS, ids=lambda text: text[:20])
def test_what_is_none_of_params_is_refused_in_one_line_by_key(tmp_path: Path, text: str) -> None:
    assert refusal(write(tmp_path, text)).startswith(NO_PARAMS[text])


def test_bytes_that_are_no_utf_8_are_named_by_line(tmp_path: Path) -> None:
    said = refusal(write(tmp_path, "a: 1\nname: Gr\xfc\xdfe\n".encode("latin-1")))
    assert said == "line 2: byte 0xfc is not UTF-8: save the file as UTF-8"
    assert "byte 0xff is not UTF-8" in refusal(write(tmp_path, "a: 1".encode("utf-16")))


def test_what_yaml_says_in_other_ways_is_read(tmp_path: Path) -> None:
    text = "\ufeffa: &a {x: 1e-4, 'y': \"2026-01-02\"}\nb: {<<: *a, x: .5}\nc: [*a, ~, true, 0x10, '']\n"
    assert read_yaml(write(tmp_path, text)) == {
        "a": {"x": 1e-4, "y": "2026-01-02"},
        "b": {"x": 0.5, "y": "2026-01-02"},
        "c": [{"x": 1e-4, "y": "2026-01-02"}, None, True, 16, ""],
    }
    assert read_yaml(write(tmp_path, "# nothing\n")) is None


def test_an_anchor_that_is_used_again_is_no_warning(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_yaml(write(tmp_path, "a: &x 1\nb: &x 2\nc: *x")) == {"a": 1, "b": 2, "c": 2}


def test_a_file_as_large_as_allowed_is_read(tmp_path: Path) -> None:
    text = "a: 1\n"
    assert read_yaml(write(tmp_path, text + "#" * (MOST_BYTES - len(text)))) == {"a": 1}


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    with pytest.raises(UserError, match=r"params\.yaml not found: run from the folder that holds dvc\.yaml"):
        read_yaml(path)
    os.mkfifo(path)
    assert refusal(path) == "is no file"
    path.unlink()
    path.symlink_to("/dev/zero")
    assert refusal(path) == "is no file"
