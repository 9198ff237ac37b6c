"""Where items are computed: in worker processes of this machine, or on a Dask cluster.

Both engines give each process one item at a time and outlive their processes: when one dies (killed,
crashed) or has no memory left, the item that it was at is reported, and everything else goes on.

This machine's processes are those of loky, joblib's engine, one pool of one process each: a pool of
several stops them all when one dies, and cannot say whose item it was.  joblib.Parallel is not used:
it starts no process at all for one job, and with Dask it waits for ever for an item whose worker died.
"""

from __future__ import annotations

import os
import socket
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from queue import Empty, Queue
from typing import Any, NamedTuple, Protocol

from joblib.externals.loky.process_executor import ProcessPoolExecutor, TerminatedWorkerError

from pipeline import runtime
from pipeline.errors import UserError
from pipeline.store.code import code_digest
from pipeline.store.keys import library_versions
from pipeline.work.lifetime import end_with_parent

# The order of sums, and so a result, must not depend on how many cores are idle.
ONE_THREAD = dict.fromkeys(
    (
        *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"),
        *("NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
    ),
    "1",
)
# A process has its next task at hand, so that it never waits for the one that hands them out.
TASKS_PER_PROCESS = 2
# How long a cluster may be silent until one looks whether it has a worker.
WAIT_S = 30.0
# Libraries whose versions define results; a cluster's workers must have those of the stage.
LIBRARIES = (
    *("av", "facenet-pytorch", "numpy", "opensmile", "pillow"),
    *("tokenizers", "torch", "transformers"),
)
# What PyTorch says, on a CPU and on a GPU, where Python would raise MemoryError.
NO_MEMORY = ("can't allocate memory", "out of memory", "ALLOC_FAILED")
# What it says where a GPU in compute mode EXCLUSIVE_PROCESS has its one process already.
GPU_TAKEN = "busy or unavailable"
# What a cluster that was started before a change says.
OTHER_CODE = (
    "this Dask cluster has other code or other library versions than the stage (was it started before a"
    " change?); restart its scheduler and workers"
)

Task = Any
Function = Callable[[Task], Any]


class WorkerDied(Exception):  # noqa: N818 - it is what happened
    """The process that ran a task is gone, or had no memory left for it."""


class Ended(NamedTuple):
    """A task that is over: what its function returned or, where its process died, how."""

    task: Task
    result: Any = None
    death: WorkerDied | None = None


def run_all(
    function: Function,
    tasks: Sequence[Task],
    *,
    workers: int,
    module: str,
    on_death: Callable[[Task, WorkerDied], None],
) -> Iterator[Ended]:
    """Run the function on all tasks, and yield each as it ends; what the function raises is raised here.

    A task whose process dies is tried once more, after all others, alone; ``on_death`` is told, and the
    second death stands in what is yielded.  ``workers`` and ``module`` are those of ``open_engine``.
    """
    suspects = []
    with open_engine(min(workers, len(tasks)), module) as engine:
        for ended in engine.run(function, tasks):
            if ended.death is None:
                yield ended
            else:
                suspects.append(ended.task)
                on_death(ended.task, ended.death)
    for suspect in suspects:
        with open_engine(1, module) as engine:
            yield from engine.run(function, [suspect])


class Engine(Protocol):
    """What both engines do."""

    def run(self, function: Function, tasks: Iterable[Task]) -> Iterator[Ended]:
        """Run the function on all tasks; yield each as it ends.  What the function raises is raised here."""
        ...


@contextmanager
def open_engine(workers: int, module: str) -> Iterator[Engine]:
    """The engine that the environment names; its work is stopped when the context is left.

    ``module`` is the stage's, whose code a cluster's workers must share.  ``workers`` counts this
    machine's processes; a cluster has as many as it has.
    """
    if runtime.engine() == "dask":
        engine: _LocalProcesses | _DaskCluster = _DaskCluster(runtime.scheduler(), module)
    else:
        engine = _LocalProcesses(workers)
    try:
        yield engine
    finally:
        engine.close()


class _LocalProcesses:
    """Processes of this machine."""

    def __init__(self, workers: int) -> None:
        # loky replaces a worker whose memory has grown; no work is lost, and nothing need be done.
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
        self._processes = [_Process(index) for index in range(workers)]

    def run(self, function: Function, tasks: Iterable[Task]) -> Iterator[Ended]:
        waiting = deque(tasks)
        while True:
            # Breadth first: no process gets a second task while another has none.
            for depth in range(1, TASKS_PER_PROCESS + 1):
                for process in self._processes:
                    if waiting and len(process.given) < depth:
                        process.give(function, waiting.popleft())
            if not any(process.given for process in self._processes):
                return
            wait([process.given[0][1] for process in self._processes if process.given], None, FIRST_COMPLETED)
            for process in self._processes:
                while process.given and process.given[0][1].done():
                    task, future = process.given.popleft()
                    try:
                        result = future.result()
                    except TerminatedWorkerError as error:
                        waiting.extendleft(process.replace())
                        yield Ended(task, death=WorkerDied(_exit_code(error)))
                    except WorkerDied as death:
                        yield Ended(task, death=death)
                    else:
                        yield Ended(task, result)

    def close(self) -> None:
        for process in self._processes:
            process.stop()


class _Process:
    """One process, started when first needed, and the tasks that it was given, in order."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._pool: ProcessPoolExecutor | None = None
        self.given: deque[tuple[Task, Future]] = deque()

    def give(self, function: Function, task: Task) -> None:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                max_workers=1,
                env={**ONE_THREAD, runtime.WORKER_INDEX: str(self._index)},
                initializer=end_with_parent,
                initargs=(os.getpid(),),
            )
        self.given.append((task, self._pool.submit(_run, function, task)))

    def replace(self) -> list[Task]:
        """Give up a dead process; the tasks that it had not begun, last first."""
        tasks = [task for task, _ in reversed(self.given)]
        self.given.clear()
        self.stop()
        return tasks

    def stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)
            self._pool = None


def _exit_code(error: TerminatedWorkerError) -> str:
    """Loky's own words for how a process ended: ``{SIGKILL(-9)}``."""
    text = str(error)
    return f"killed by {text[text.rindex('{') + 1 : text.rindex('}')]}" if "{" in text else "killed"


class _DaskCluster:
    """Workers of a Dask cluster, which see this project's folder under the same path."""

    def __init__(self, address: str, module: str) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise UserError("MULTIEMO_ENGINE=dask needs Dask: pip install '.[dask]'") from None
        try:
            self._client = Client(address)
        except (OSError, ValueError) as error:
            raise UserError(f"MULTIEMO_SCHEDULER={address}: no Dask scheduler answers ({error})") from error
        self._address, self._module = address, module

    def run(self, function: Function, tasks: Iterable[Task]) -> Iterator[Ended]:
        from distributed import KilledWorker

        place = {"folder": Path.cwd(), "module": self._module, "made_for": _code_and_versions(self._module)}
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


def _run(function: Function, task: Task) -> Any:
    """Run a function in a worker; WorkerDied where it needs more memory than there is."""
    try:
        return function(task)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY):
            raise WorkerDied("out of memory") from error
        if GPU_TAKEN in str(error):
            raise UserError(
                f"the GPU admits no other process ({str(error).splitlines()[0]}); set"
                " MULTIEMO_WORKERS_PER_GPU=1, or wait until whoever uses it has ended"
            ) from error
        raise


@cache
def _code_and_versions(module: str) -> tuple[str, dict[str, str]]:
    """What a process has loaded: kept from its first use, because code that is loaded stays."""
    return code_digest(module), library_versions(*LIBRARIES)


_one_at_a_time = threading.Lock()


def _run_on_cluster(
    function: Function, task: Task, *, folder: Path, module: str, made_for: tuple[str, dict[str, str]]
) -> Any:
    """Run a function in a Dask worker, once it is sure that the result belongs under the item's key."""
    # A worker with several threads would run several items in one process.
    with _one_at_a_time:
        try:
            os.chdir(folder)
        except OSError as error:
            raise UserError(f"{socket.gethostname()}: no folder {folder}; see docs/cluster.md") from error
        if _code_and_versions(module) != made_for:
            raise UserError(f"{socket.gethostname()}: {OTHER_CODE}")
        return _run(function, task)
