from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Clone:
    """A copy of the working tree in a git repository of its own."""

    root: Path

    def run(self, *command: str, check: bool = True) -> str:
        """What a command prints, both streams together; fails the test if the command fails."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MULTIEMO_")}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        done = subprocess.run(
            command, cwd=self.root, env=environment, text=True, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if check:
            assert done.returncode == 0, f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}"
        else:
            assert done.returncode != 0, f"{' '.join(command)} should have failed:\n{done.stdout}"
        return done.stdout

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace the one place in a file that reads ``old``."""
        path = self.root / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name} has {text.count(old)} places that read {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")


def clone_to(root: Path) -> Clone:
    """Copy the files that git tracks or would track, as they are now, and commit them."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (PROJECT / name).is_file() and name != "dvc.lock":
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, root / name)
    clone = Clone(root)
    clone.run("git", "init", "--quiet")
    clone.run("git", "add", ".")
    clone.run(
        "git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "start"
    )
    return clone


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A fresh clone."""
    return clone_to(tmp_path / "clone")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, str]:
    """A clone in which ``dvc repro`` has run to the end, and what it printed."""
    clone = clone_to(tmp_path_factory.mktemp("finished") / "clone")
    return clone, clone.run("dvc", "repro")
