"""A stage that meets a full or closed disk says so in one line, whichever library was writing."""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import stages.compare
from pipeline.store.code import PROJECT
from stages.__main__ import main

LIMIT_BYTES = 100_000
WRITE = {
    "python": "open('a', 'wb').write(bytes(200_000))",
    "safetensors": (
        "import torch; from safetensors.torch import save_file;"
        "save_file({'weight': torch.zeros(200_000)}, 'a.safetensors')"
    ),
    "torch": "import torch; torch.save({'weight': torch.zeros(200_000)}, 'a.pt')",
    "after another error": "\ntry: open('a', 'wb').write(bytes(200_000))\nfinally: raise ValueError('b')",
}
RUN = """
import signal, sys
import stages.compare
from stages.__main__ import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def write():
    exec(sys.argv[1], {})
stages.compare.main = write
sys.exit(main(["compare"]))
"""


@pytest.mark.parametrize("library", WRITE)
def test_a_full_disk_is_one_line_whichever_library_was_writing(library: str, tmp_path: Path) -> None:
    """A limit on the size of files meets a writer as a full disk does: in the middle of a write."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, WRITE[library]],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, LIMIT_BYTES)),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"compare: error: {tmp_path}: ")
    assert done.stderr.endswith("; free space, or mend permissions or the disk\n")
    assert len(done.stderr.splitlines()) == 1


class Interrupted(io.BytesIO):
    """A file in whose second write Ctrl-C comes."""

    writes = 0

    def write(self, content) -> int:
        self.writes += 1
        if self.writes == 2:
            raise KeyboardInterrupt
        return super().write(content)


def test_ctrl_c_in_the_middle_of_a_write_is_no_trouble_of_the_disk(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(stages.compare, "main", lambda: torch.save({"weight": torch.zeros(9)}, Interrupted()))
    assert main(["compare"]) == 130
    assert capsys.readouterr().err == "\ncompare: stopped; dvc repro goes on from what is kept\n"
