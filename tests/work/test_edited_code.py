"""A worker process that starts after an edit loads other code than that for which its items' keys stand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.store.code import PROJECT, code_digest
from pipeline.work.engine import _run_if_unchanged

JOB = """import os
def work(number):
    if number == 2:
        os._exit(3)  # as a process does that has no memory left
    return "old code"
"""
RUN = """from pathlib import Path
from pipeline import job
from pipeline.errors import UserError
from pipeline.work.engine import run_all
if __name__ == "__main__":
    try:
        for ended in run_all(job.work, [1, 2], workers=1, modules=["pipeline.job"], on_death=print):
            print(ended)
            text = Path(job.__file__).read_text()
            Path(job.__file__).write_text(text.replace(*CHANGE))
    except UserError as error:
        print(f"UserError: {error}")
"""


@pytest.mark.parametrize(
    ("change", "last"),
    [
        (
            ('"old code"', '"new code"'),
            "UserError: the code or a library changed while the stage ran; run dvc repro again",
        ),
        (("# as a", "# like a"), "Ended(task=2, result=None, death=WorkerDied('ended with status 3'))"),
    ],
    ids=["code", "comment"],
)
def test_a_process_that_takes_the_place_of_another_after_an_edit_is_refused(
    change: tuple[str, str], last: str, tmp_path: Path
) -> None:
    shutil.copytree(PROJECT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "pipeline" / "job.py").write_text(JOB)
    (tmp_path / "run.py").write_text(RUN.replace("CHANGE", repr(change)))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MULTIEMO_")}
    printed = subprocess.run(
        [sys.executable, "run.py"],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "'old code'" in printed.stdout, printed.stderr
    assert printed.stdout.splitlines()[-1] == last


def test_a_process_that_starts_after_a_library_was_replaced_is_refused() -> None:
    made_for = (code_digest("pipeline.errors"), {"numpy": "1.0"})
    with pytest.raises(UserError, match="library changed while the stage ran"):
        _run_if_unchanged(str, 1, modules=("pipeline.errors",), libraries=("numpy",), made_for=made_for)
