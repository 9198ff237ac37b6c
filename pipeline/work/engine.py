"""Where items are computed: in worker processes of this machine, or on a Dask cluster.

Both engines give each process one item at a time and outlive their processes: when one dies (killed,
crashed) or has no memory left, the item that it was at is reported, and everything else goes on.
"""

from __future__ import annotations

import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, wait
from contextlib import contextmanager
from functools import cache, partial
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Protocol

from pipeline import runtime
from pipeline.errors import UserError
from pipeline.store.code import CHANGED, check_unchanged, code_digest, reachable
from pipeline.store.keys import library_versions
from pipeline.work.processes import Ended, Function, Task, WorkerDied, WorkerProcess, run_within_memory
from pipeline.work.this_process import SHARED_MEMORY, ThisProcess, why_no_workers

# The order of sums, and so a result, must not depend on how many cores are idle.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "BLIS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
}
# A process has its next task at hand, so that it never waits for the one that hands them out.
TASKS_PER_PROCESS = 2
# Of what was not done, so much is named.
SHOWN = 5
# How long a cluster may be silent until one looks whether it has a worker.
WAIT_S = 30.0
# Libraries whose versions define results of most stages; the others name their own.
LIBRARIES = ("av", "numpy", "pillow", "torch")
# What a cluster that was started before a change says.
OTHER_CODE = (
    "this Dask cluster has other code or other library versions than the stage (was it started before a"
    " change?); restart its scheduler and workers"
)


def run_all(
    function: Function,
    tasks: Sequence[Task],
    *,
    workers: int,
    modules: Sequence[str],
    libraries: Sequence[str] = (),
    on_death: Callable[[Task, WorkerDied], None],
) -> Iterator[Ended]:
    """Run the function on all tasks, and yield each as it ends; what the function raises is raised here.

    A task whose process dies is tried once more, after all others, alone; ``on_death`` is told, and the
    second death stands in what is yielded.  The other arguments are those of ``open_engine``.
    """
    suspects = []
    with open_engine(min(workers, len(tasks)), modules, libraries) as engine:
        for ended in engine.run(function, tasks):
            if ended.death is None:
                yield ended
            else:
                suspects.append(ended.task)
                on_death(ended.task, ended.death)
    for suspect in suspects:
        with open_engine(1, modules, libraries) as engine:
            yield from engine.run(function, [suspect])


def deaths_error(unit: str, deaths: Mapping[str, WorkerDied]) -> UserError:
    """What a stage ends with that lacks the work at which workers died twice.

    ``deaths`` has the last death by the name of the work, of which ``unit`` is the plural.
    """
    named = ", ".join(f"{name} ({death})" for name, death in list(deaths.items())[:SHOWN])
    more = f" and {len(deaths) - SHOWN} more" if len(deaths) > SHOWN else ""
    return UserError(
        f"workers died twice at {named}{more}; all other {unit} are kept. dvc repro tries these again (fewer"
        " MULTIEMO_WORKERS need less memory); with MULTIEMO_ACCEPT_FAILURES=1 it quarantines what fails again"
    )


class Engine(Protocol):
    """What both engines do."""

    def run(self, function: Function, tasks: Iterable[Task]) -> Iterator[Ended]:
        """Run the function on all tasks; yield each as it ends.  What the function raises is raised here."""
        ...


@contextmanager
def open_engine(workers: int, modules: Sequence[str], libraries: Sequence[str] = ()) -> Iterator[Engine]:
    """The engine that the environment names; its work is stopped when the context is left.

    Workers must share the code of ``modules``, and of all that they reach, and the versions of ``libraries``,
    which are distributions.  ``workers`` counts this machine's processes; a cluster has as
    many as it has.  UserError for several where the machine can have none; one is this process there.
    """
    engine: _LocalProcesses | _DaskCluster | ThisProcess
    needed = tuple(modules), (*LIBRARIES, *libraries)
    if runtime.engine() == "dask":
        engine = _DaskCluster(runtime.scheduler(), *needed)
    elif trouble := why_no_workers():
        if workers > 1:
            raise UserError(
                f"{SHARED_MEMORY}: {trouble}, which worker processes need; mount it to be written to, or set"
                " MULTIEMO_WORKERS=1 (on a GPU: MULTIEMO_WORKERS_PER_GPU=1) to work without them"
            )
        engine = ThisProcess()
    else:
        engine = _LocalProcesses(workers, *needed)
    try:
        yield engine
    finally:
        engine.close()


class _LocalProcesses:
    """Processes of this machine."""

    def __init__(self, workers: int, modules: tuple[str, ...], libraries: tuple[str, ...]) -> None:
        self._needed = {"modules": modules, "libraries": libraries}
        self._processes = [
            WorkerProcess({**ONE_THREAD, runtime.WORKER_INDEX: str(index)}) for index in range(workers)
        ]

    def run(self, function: Function, tasks: Iterable[Task]) -> Iterator[Ended]:
        made_for = _code_and_versions(**self._needed)
        checked = partial(_run_if_unchanged, function, made_for=made_for, **self._needed)
        waiting = deque(tasks)
        while True:
            # Breadth first: no process gets a second task while another has none.
            for depth in range(1, TASKS_PER_PROCESS + 1):
                for process in self._processes:
                    if waiting and len(process) < depth:
                        process.send(checked, waiting.popleft())
            busy = [process for process in self._processes if len(process)]
            if not busy:
                return
            wait([process.answer for process in busy], return_when=FIRST_COMPLETED)
            for process in busy:
                while len(process) and process.answer.done():
                    task = process.first_task
                    try:
                        ended = Ended(task, process.receive())
                    except WorkerDied as death:
                        ended = Ended(task, death=death)
                    yield ended

    def close(self) -> None:
        for process in self._processes:
            process.stop()


class _DaskCluster:
    """Workers of a Dask cluster, which see this project's folder under the same path."""

    def __init__(self, address: str, modules: tuple[str, ...], libraries: tuple[str, ...]) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise UserError("MULTIEMO_ENGINE=dask needs Dask: pip install -e '.[dask]'") from None
        try:
            self._client = Client(address)
        except (OSError, ValueError) as error:
            raise UserError(f"MULTIEMO_SCHEDULER={address}: no Dask scheduler answers ({error})") from error
        self._address, self._modules, self._libraries = address, modules, libraries

    def run(self, function: Function, tasks: Iterable[Task]) -> Iterator[Ended]:
        from distributed import KilledWorker

        needed = {"modules": self._modules, "libraries": self._libraries}
        place = {"folder": Path.cwd(), **needed, "made_for": _code_and_versions(**needed)}
        task_of = {
            self._client.submit(_run_on_cluster, function, task, **place, pure=False, priority=-number): task
            for number, task in enumerate(tasks)
        }
        ended: Queue[Any] = Queue()
        for future in task_of:
            future.add_done_callback(ended.put)
        try:
            while task_of:
                future = self._next(ended)
                try:
                    result = future.result()
                except KilledWorker as error:
                    death = WorkerDied(f"killed on {error.last_worker.address}")
                    yield Ended(task_of.pop(future), death=death)
                except WorkerDied as death:
                    yield Ended(task_of.pop(future), death=death)
                except RuntimeError as error:
                    if "deserialization" not in str(error):
                        raise
                    raise UserError(f"{self._address}: {OTHER_CODE}") from error
                except CancelledError:
                    raise UserError(
                        "the Dask scheduler went away; finished dialogues are kept, run dvc repro again"
                    ) from None
                else:
                    yield Ended(task_of.pop(future), result)
        finally:
            self._client.cancel(list(task_of))

    def _next(self, ended: Queue[Any]) -> Any:
        """The next future that has ended; while the cluster has no worker, say what is waited for."""
        while True:
            try:
                return ended.get(timeout=WAIT_S)
            except Empty:
                if not self._client.scheduler_info(n_workers=-1)["workers"]:
                    print(f"waiting for a worker of {self._address}", flush=True)

    def close(self) -> None:
        self._client.close()


@cache
def _code_and_versions(modules: tuple[str, ...], libraries: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """What a process has loaded: kept from its first use, because code that is loaded stays."""
    return code_digest(*modules), library_versions(*libraries)


@cache  # once: then all is loaded
def _check_what_was_loaded(modules: tuple[str, ...]) -> None:
    check_unchanged(reachable(*modules))


def _run_if_unchanged(
    function: Function,
    task: Task,
    *,
    modules: tuple[str, ...],
    libraries: tuple[str, ...],
    made_for: tuple[str, dict[str, str]],
) -> Any:
    """Run a function, once it is sure that the result belongs under the item's key.

    loky replaces a process that has died or whose memory has grown, at any time.
    """
    if _code_and_versions(modules, libraries) != made_for:
        raise UserError(CHANGED)
    result = function(task)
    _check_what_was_loaded(modules)
    return result


_one_at_a_time = threading.Lock()


def _run_on_cluster(
    function: Function,
    task: Task,
    *,
    folder: Path,
    modules: tuple[str, ...],
    libraries: tuple[str, ...],
    made_for: tuple[str, dict[str, str]],
) -> Any:
    """Run a function in a Dask worker, once it is sure that the result belongs under the item's key."""
    # A worker with several threads would run several items in one process.
    with _one_at_a_time:
        try:
            os.chdir(folder)
        except OSError as error:
            raise UserError(f"{socket.gethostname()}: no folder {folder}; see docs/cluster.md") from error
        try:
            mine = _code_and_versions(modules, libraries)
        except PackageNotFoundError as error:
            raise UserError(
                f"{socket.gethostname()}: this Dask cluster lacks the library {error.name}; install it"
            ) from error
        if mine != made_for:
            raise UserError(f"{socket.gethostname()}: {OTHER_CODE}")
        result = run_within_memory(function, task)
        _check_what_was_loaded(modules)
        return result
