from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.store.code import PARSED, PROJECT

AUTHOR = ("-c", "user.name=t", "-c", "user.email=t@example.org")


@dataclass(frozen=True)
class Clone:
    """A copy of the working tree in a git repository of its own."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    """Variables of its commands, beside those of this process."""

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command in a session of its own, as a terminal would; both its streams are one."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MULTIEMO_")}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        return subprocess.Popen(
            command, cwd=self.root, env=environment | self.environment, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *command: str, check: bool = True) -> str:
        """What a command prints; fails the test if the command fails or, without ``check``, does not."""
        return finish(self.start(*command), check)

    def commit(self, message: str) -> None:
        """Commit what has changed."""
        self.run("git", *AUTHOR, "commit", "--quiet", "--all", "--message", message)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace the one place in a file that reads ``old``."""
        path = self.root / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name} has {text.count(old)} places that read {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")


def finish(process: subprocess.Popen[str], check: bool = True) -> str:
    """Wait for the end of a command that ``start`` started, and of all that it started; what they printed."""
    printed, _ = process.communicate()
    ended = f"{' '.join(map(str, process.args))} exited with {process.returncode}"  # type: ignore[union-attr]
    assert (process.returncode == 0) is check, f"{ended}:\n{printed}"
    return printed


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
    if (PROJECT / PARSED).exists():  # by content: it spares each clone the parsing
        (root / PARSED).parent.mkdir()
        shutil.copy(PROJECT / PARSED, root / PARSED)
    clone = Clone(root)
    clone.run("git", "init", "--quiet")
    clone.run("git", "add", ".")
    clone.commit("start")
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
