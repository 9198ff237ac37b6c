from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pipeline.store.code import PROJECT
from pipeline.store.locks import only_run

SECOND_RUN = """
import sys
from pathlib import Path
from pipeline.store.locks import only_run
with only_run(Path(sys.argv[1])):
    print("in")
"""


def test_a_second_run_says_that_it_waits_and_goes_on_when_the_first_has_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SECOND_RUN, str(tmp_path / "states" / "key")]
    with only_run(tmp_path / "states" / "key"):
        second = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        assert second.stdout.readline() == f"waiting for another run that works in {command[-1]}\n"
    assert second.communicate(timeout=60) == ("in\n", None)


def test_a_process_that_inherits_the_lock_keeps_it_after_the_run_has_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SECOND_RUN, str(tmp_path)]
    with only_run(tmp_path) as lock:
        heir = subprocess.Popen(["sleep", "600"], pass_fds=[lock])
    second = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert second.stdout.readline().startswith("waiting for another run")
    heir.kill()
    heir.wait()
    assert second.communicate(timeout=60) == ("in\n", None)
