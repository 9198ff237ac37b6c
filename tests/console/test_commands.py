"""The command ``multiemo`` as a whole: its subcommands, its exports, and how they are found."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.console.__main__ import main
from pipeline.features.file import write_features
from pipeline.store.code import PROJECT
from tests import small_features

COMMANDS = {
    path.stem.replace("_", "-")
    for room in ("pipeline", "train", "stages")
    for path in (PROJECT / room / "console").glob("[!_]*.py")
}
EXPORTS = {path.stem for path in (PROJECT / "pipeline/exports").glob("[!_]*.py")}

GREET = '''"""``multiemo greet``: say hello to somebody."""


def configure(parser):
    parser.add_argument("name")
    parser.set_defaults(run=lambda arguments: print(f"Hello {arguments.name}") or 0)
'''

WORDS = '''"""A reader of words: ``words.txt``."""

HOLDS_UNLABELLED = True


def write(folder, features):
    folder.mkdir()
    (folder / "words.txt").write_text("\\n".join(features.text), encoding="utf-8")
    return ["words.txt"]


def notes(features):
    return [f"{len(features)} lines"]
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project's code, to add to."""
    for package in ("pipeline", "train", "stages"):
        shutil.copytree(PROJECT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def multiemo(project: Path, *arguments: str) -> str:
    """What the command of a copy prints."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.console", *arguments],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("room", ["pipeline", "train"])
def test_a_subcommand_is_added_in_one_file(project: Path, room: str) -> None:
    (project / room / "console" / "greet.py").write_text(GREET, encoding="utf-8")
    lines = [line.split(maxsplit=1) for line in multiemo(project, "--help").splitlines()]
    assert ["greet", "say hello to somebody"] in lines
    assert multiemo(project, "greet", "Joey") == "Hello Joey\n"


def test_an_export_is_added_in_one_file(project: Path) -> None:
    (project / "pipeline/exports/words.py").write_text(WORDS, encoding="utf-8")
    write_features(project / "features.h5", small_features.recordings())
    lines = [line.split(maxsplit=1) for line in multiemo(project, "export", "--help").splitlines()]
    assert ["words", "A reader of words: words.txt"] in lines
    printed = multiemo(project, "export", "features.h5", "--to", "words", "-o", "out")
    assert printed == "out: 14 utterances of lab for words\n  words.txt\nnote: 14 lines\n"
    written = (project / "out/words.txt").read_text(encoding="utf-8")
    assert written.splitlines() == small_features.recordings().text.tolist()


def test_help_lists_every_subcommand_in_one_line(capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out.partition("  command\n")[2].partition("\n\n")[0]
    said = re.sub(r"\n {8,}", " ", said)  # below a long name
    names, lines = zip(*(line.split(maxsplit=1) for line in said.splitlines()), strict=True)
    assert set(names) == COMMANDS
    assert {"inspect", "verify", "export", "store", "predict", "explain"} <= COMMANDS
    assert list(names) == sorted(names)
    assert all(lines)


def test_help_of_export_lists_every_export_in_one_line(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    said = capsys.readouterr().out.partition("unchanged:\n")[2].partition("\ndocs/")[0]
    assert {line.split(maxsplit=1)[0] for line in said.splitlines()} == EXPORTS
    assert {"multiemo", "dialoguernn", "mmgcn", "mmsa", "merbench", "parquet", "datasets"} <= EXPORTS


def test_help_waits_for_no_library() -> None:
    script = (
        "import sys\nfrom pipeline.console.__main__ import main\n"
        "try: main(['--help'])\nexcept SystemExit: print(sorted({'torch', 'h5py', 'numpy'} & {*sys.modules}))"
    )
    python = [sys.executable, "-c", script]
    done = subprocess.run(python, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_subcommand_explains_itself_with_an_example(command: str, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert f"usage: multiemo {command}" in printed
    assert f"example:\n  multiemo {command} " in printed


def test_an_unknown_export_is_a_wrong_call_that_names_the_known_ones(tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["export", "features.h5", "--to", "shared", "-o", str(tmp_path)])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "invalid choice: 'shared'" in said
    assert all(name in said for name in EXPORTS)


@pytest.mark.parametrize("command", ["pin", "doctor", "fetch"])
def test_a_weights_file_that_a_disk_does_not_give_is_one_line(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    params = YAML(typ="safe").load(PROJECT / "params.yaml")
    entry = params["corpora"]["demo"] | {"modalities": ["visual"]}
    entry["visual"]["encoder"] = {"kind": "resnet", "weights": "faces.safetensors", "sha256": "0" * 64}
    monkeypatch.chdir(tmp_path)
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump({"corpora": {"demo": entry}}, file)
    Path("faces.safetensors").symlink_to("/proc/self/mem")  # opens, and answers EIO
    assert main([command, "demo"]) == 1
    said = f"multiemo: error: {Path('faces.safetensors').absolute()}: Input/output error; free space, or mend"
    assert capsys.readouterr().err == f"{said} permissions or the disk\n"
