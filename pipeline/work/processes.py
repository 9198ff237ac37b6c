"""One worker process, which runs what it is sent, and whose death at any moment costs what it was at.

Each is a pool of one of loky's, joblib's processes: a pool of several breaks as a whole when one of them
dies, and cannot say whose task it was; so does pebble's when an idle one dies.  What a function returns
must be small, as it is where results go to the item store: loky waits for ever for the rest of a large one
whose process was killed while it was under way.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import re
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from joblib.externals.loky import BrokenProcessPool, Future, ProcessPoolExecutor

from pipeline.errors import UserError
from pipeline.work.lifetime import end_with_parent

# What PyTorch says, on a CPU and on a GPU, where Python would raise MemoryError.
NO_MEMORY = ("can't allocate memory", "out of memory", "ALLOC_FAILED")
# What it says where a GPU in compute mode EXCLUSIVE_PROCESS has its one process already.
GPU_TAKEN = "busy or unavailable"

Task = Any
Function = Callable[[Task], Any]


class WorkerDied(Exception):  # noqa: N818 - it is what happened
    """The process that ran a task is gone, or had no memory left for it; the message says how."""


class Ended(NamedTuple):
    """A task that is over: what its function returned or, where its process died, how."""

    task: Task
    result: Any = None
    death: WorkerDied | None = None


class WorkerProcess:
    """A process that is started when it is first needed, and again where it has died."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """``environment`` holds variables of the process that this one does not share."""
        # loky replaces a worker whose memory has grown; no work is lost, and nothing need be done.
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
        self._environment = dict(environment)
        self._pool: ProcessPoolExecutor | None = None
        self._sent: deque[tuple[Function, Task, Future]] = deque()

    def __len__(self) -> int:
        """How many tasks it has that were not received; it is at the first."""
        return len(self._sent)

    @property
    def first_task(self) -> Task:
        """What it is at."""
        return self._sent[0][1]

    @property
    def answer(self) -> Future:
        """What is done when the first task is over, or the process has died."""
        return self._sent[0][2]

    def send(self, function: Function, task: Task) -> None:
        """Have the function run on a task, after those that the process has already."""
        try:
            answer = self._started().submit(run_within_memory, function, task)
        except BrokenProcessPool:  # it was killed
            if all(_has_survived(each) for _, _, each in self._sent):
                self.stop()
                answer = self._started().submit(run_within_memory, function, task)
            else:  # which the task that it was at will tell
                answer = Future()
        self._sent.append((function, task, answer))

    def receive(self) -> Any:
        """What the function returns for the first task, which it drops; raises what the function raises.

        Raises WorkerDied where the process has died; a new one has its other tasks.
        """
        _, _, answer = self._sent.popleft()
        try:
            return answer.result()
        except BrokenProcessPool as error:
            self.stop()
            others, self._sent = self._sent, deque()
            for function, task, _ in others:
                self.send(function, task)
            raise WorkerDied(_describe_end(error)) from None

    def stop(self) -> None:
        """End the process, if it runs."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)
            self._pool = None

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                max_workers=1, env=self._environment, initializer=_prepare, initargs=(os.getpid(),)
            )
        return self._pool


def _has_survived(answer: Future) -> bool:
    """Whether a task was over before its process died."""
    return answer.done() and not isinstance(answer.exception(), BrokenProcessPool)


def run_within_memory(function: Function, task: Task) -> Any:
    """Run a function in a worker; WorkerDied where it needs more memory than there is."""
    try:
        return function(task)
    except Exception as error:
        if isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY):
            raise WorkerDied("out of memory") from error
        if GPU_TAKEN in str(error):
            raise UserError(
                f"the GPU admits no other process ({str(error).splitlines()[0]}); set"
                " MULTIEMO_WORKERS_PER_GPU=1, or wait until whoever uses it has ended"
            ) from error
        if not _can_travel(error):
            raise RuntimeError("".join(traceback.format_exception(error))) from None
        raise


def _prepare(parent: int) -> None:
    faulthandler.enable()  # a library that crashes says where
    end_with_parent(parent)


def _can_travel(error: Exception) -> bool:
    """Whether an error arrives as what it is; some libraries' errors do not, and would break the pool."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return False
    return True


def _describe_end(error: BrokenProcessPool) -> str:
    """How a process ended, of which loky tells in words alone: ``{SIGKILL(-9)}``, ``{EXIT(3)}``."""
    found = re.search(r"\{(\w+)\((-?\d+)\)\}", str(error))
    if found is None:
        return "killed"
    name, code = found.groups()
    return f"killed by {name}" if name.startswith("SIG") else f"ended with status {code}"
