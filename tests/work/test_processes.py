"""Worker processes of this machine, and that none of their deaths costs more than what they were at."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import nullcontext
from threading import Thread

import psutil
import pytest

from pipeline import runtime
from pipeline.errors import UserError
from pipeline.work.engine import Engine, open_engine
from pipeline.work.processes import Ended, WorkerDied, WorkerProcess
from pipeline.work.this_process import why_no_workers


def tell_process(number: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def tell_environment(number: int) -> tuple[str | None, str | None]:
    time.sleep(0.2)
    return os.environ.get("OMP_NUM_THREADS"), os.environ.get(runtime.WORKER_INDEX)


def fail(number: int) -> int:
    return 1 // number


def lack_memory(number: int) -> int:
    if number:
        raise MemoryError
    return number


class StubbornError(Exception):
    """Cannot be made again from its arguments, as some libraries' errors."""

    def __init__(self, number: int, name: str) -> None:
        super().__init__(f"{name} {number}")


def fail_stubbornly(number: int) -> None:
    raise StubbornError(number, "clip")


def exit_at_two(number: int) -> int:
    if number == 2:
        os._exit(3)
    return number


def crash_at_two(number: int) -> int:
    if number == 2:
        signal.raise_signal(signal.SIGSEGV)
    return number


@pytest.fixture(params=[1, 2])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.delenv("MULTIEMO_ENGINE", raising=False)
    with open_engine(request.param, ["stages.audio"]) as engine:
        yield engine


def workers() -> list[psutil.Process]:
    """The worker processes of this one."""
    children = psutil.Process().children()
    return [
        child for child in children if "joblib.externals.loky.backend.popen_loky_posix" in child.cmdline()
    ]


def kill(process: psutil.Process) -> None:
    process.kill()
    time.sleep(1)  # whoever started it has noticed


def counted(ended: list[Ended]) -> dict[str, int]:
    """How many tasks were done, and how many died of what."""
    return dict(Counter(str(each.death or "done") for each in ended))


def test_a_process_that_was_killed_while_idle_costs_nothing(engine: Engine) -> None:
    for _ in range(3):
        ended = list(engine.run(tell_process, range(4)))
        assert counted(ended) == {"done": 4}
        kill(psutil.Process(ended[-1].result))


def test_all_processes_killed_while_nobody_asks_for_results_cost_nothing(engine: Engine) -> None:
    running = engine.run(tell_process, range(8))
    first = next(running)
    time.sleep(1)  # each process has done what it had at hand, and is idle
    for process in workers():
        kill(process)
    assert counted([first, *running]) == {"done": 8}


@pytest.mark.parametrize("number", [0, 1])
def test_a_process_killed_after_a_task_that_nobody_has_received_still_does_the_next(number: int) -> None:
    process = WorkerProcess({})
    try:
        process.send(lack_memory, number)
        wait([process.answer])
        for worker in workers():
            kill(worker)
        process.send(tell_process, 2)
        with pytest.raises(WorkerDied, match="out of memory") if number else nullcontext():
            assert process.receive() == 0
        wait([process.answer], timeout=30)
        assert process.answer.done()
        assert process.receive() != os.getpid()
    finally:
        process.stop()


def test_a_process_that_is_killed_while_it_starts_costs_one_task_at_most(engine: Engine) -> None:
    killed = []

    def kill_first() -> None:
        while not killed:
            killed.extend(workers()[:1])
        killed[0].kill()

    Thread(target=kill_first).start()
    deaths = counted(list(engine.run(tell_process, range(6))))
    assert killed
    assert deaths == {"done": 5, "killed by SIGKILL": 1}


@pytest.mark.parametrize(
    ("function", "words"), [(exit_at_two, "ended with status 3"), (crash_at_two, "killed by SIGSEGV")]
)
def test_a_death_says_how_the_process_ended(
    function: Callable[[int], int], words: str, engine: Engine, capfd: pytest.CaptureFixture
) -> None:
    assert counted(list(engine.run(function, range(5)))) == {"done": 4, words: 1}
    assert ("in crash_at_two" in capfd.readouterr().err) == (function is crash_at_two)


def test_an_error_keeps_the_traceback_of_the_process_that_raised_it(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        list(engine.run(fail, [0]))
    assert "return 1 // number" in str(caught.value.__cause__)


def test_an_error_that_cannot_travel_is_told_in_words(engine: Engine) -> None:
    with pytest.raises(RuntimeError, match="StubbornError: clip 7"):
        list(engine.run(fail_stubbornly, [7]))


def test_processes_have_one_thread_and_an_index_and_this_one_keeps_its_environment(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    before = dict(os.environ)
    found = {ended.result for ended in engine.run(tell_environment, range(6))}
    assert found in ({("1", "0")}, {("1", "0"), ("1", "1")})
    assert dict(os.environ) == before


def test_a_machine_without_shared_memory_works_with_one_worker_and_says_so_to_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.delenv("MULTIEMO_ENGINE", raising=False)
    monkeypatch.setattr("multiprocessing.synchronize._multiprocessing.SemLock", refuse)
    with open_engine(1, ["stages.audio"]) as engine:
        assert {ended.result for ended in engine.run(tell_process, range(2))} == {os.getpid()}
        with pytest.raises(ZeroDivisionError):
            list(engine.run(fail, [0]))
        assert counted(list(engine.run(lack_memory, range(2)))) == {"done": 1, "out of memory": 1}
    several = r"^/dev/shm: no semaphore can be made \(Read-only file system\).* set MULTIEMO_WORKERS=1 "
    with pytest.raises(UserError, match=several), open_engine(2, ["stages.audio"]):
        pass


def test_no_folder_for_shared_memory_is_told_from_one_that_is_there() -> None:
    """Of the system itself, where it lets us take the folder away."""
    hide = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    script = 'mount -t tmpfs -o ro none /dev/shm && exec "$0" -c "$1"'
    show = "from pipeline.work.this_process import why_no_workers; print(why_no_workers())"
    try:
        shown = subprocess.run([*hide, script, sys.executable, show], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if "mount" in shown.stderr or "unshare" in shown.stderr:
        pytest.skip("no mounts for users here")
    assert shown.stdout == "no semaphore can be made (Read-only file system)\n", shown.stderr
    assert why_no_workers() == ""


def test_a_process_that_outlives_its_work_is_stopped_with_the_engine(engine: Engine) -> None:
    next(engine.run(tell_process, range(6)))
    running = workers()
    assert running
    engine.close()
    assert [process for process in running if process.is_running()] == []
