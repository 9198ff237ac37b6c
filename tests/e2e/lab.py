"""A lab in small: clones of the project that extract one little corpus, kept outside of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.conftest import Clone, clone_to

EXTRACTED = ("faces.h5", "visual.h5", "audio.h5", "text.h5")
TARGETS = ("visual@demo", "audio@demo", "text@demo")


@dataclass(frozen=True)
class LabClone(Clone):
    """A clone whose commands run with settings of their own."""

    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command in a session of its own; both its streams are one."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MULTIEMO_")}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        return subprocess.Popen(
            command, cwd=self.root, env=environment | self.environment, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *command: str, check: bool = True) -> str:
        process = self.start(*command)
        printed, _ = process.communicate()
        assert (process.returncode == 0) is check, f"{' '.join(command)}: {process.returncode}\n{printed}"
        return printed

    def extract(self) -> str:
        """Run all extraction stages; what they print."""
        return self.run("dvc", "repro", *TARGETS)

    def outputs(self) -> dict[str, bytes]:
        """Content of what the extraction stages made."""
        return {name: (self.root / "data/demo" / name).read_bytes() for name in EXTRACTED}


def lab_clone(folder: Path, corpus: Path, store: Path, **environment: str) -> LabClone:
    """A clone whose only corpus lies in ``corpus``, with settings that make a run short."""
    clone = LabClone(clone_to(folder).root, {"MULTIEMO_STORE": str(store), **environment})
    for old, new in (
        ("root: data/raw/demo", f"root: {corpus}"),
        (
            "max_unobserved: {<<: *max_unobserved, audio: 0.1, visual: 0.1}",
            "max_unobserved: {text: 1.0, audio: 1.0, visual: 1.0}",
        ),
        ("crop_size_px: 96", "crop_size_px: 64"),
        ("frames_per_utterance: 20", "frames_per_utterance: 4"),
        ("epochs: 15", "epochs: 1"),
        ("epochs: 30", "epochs: 2"),
    ):
        clone.edit("params.yaml", old, new)
    clone.run(
        "git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-am", "small"
    )
    return clone


def work_done(printed: str) -> dict[str, str]:
    """Stage -> ``1 of 5``, as the stages that ran say it."""
    found = {}
    for line in printed.splitlines():
        if " dialogues to do, " in line:
            stage, counts = line.split(": ")
            found[stage] = counts.split(" dialogues")[0]
    return found


def stages_run(printed: str) -> list[str]:
    return [line.split("'")[1] for line in printed.splitlines() if line.startswith("Running stage")]


def copy_corpus(corpus: Path, folder: Path) -> Path:
    return Path(shutil.copytree(corpus, folder))
