"""One worker process, which runs what it is sent, and whose death at any moment costs what it was at.

Python's own processes, each with a pipe of its own: however and whenever one dies, its pipe ends and no
other notices.  No pool does that: loky's breaks as a whole, pebble's when an idle process dies, or one
that holds the lock that all share.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import pickle
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any

from pipeline.errors import UserError

# A forked process would share threads' locks, and CUDA, with this one.
SPAWN = multiprocessing.get_context("spawn")
# What PyTorch says, on a CPU and on a GPU, where Python would raise MemoryError.
NO_MEMORY = ("can't allocate memory", "out of memory", "ALLOC_FAILED")
# What it says where a GPU in compute mode EXCLUSIVE_PROCESS has its one process already.
GPU_TAKEN = "busy or unavailable"

Task = Any
Function = Callable[[Task], Any]


class WorkerDied(Exception):  # noqa: N818 - it is what happened
    """The process that ran a task is gone, or had no memory left for it; the message says how."""


class WorkerProcess:
    """A process that is started when it is first needed, and again where it has died."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """``environment`` holds variables of the process that this one does not share."""
        self.tasks: deque[Task] = deque()
        """What it was sent and has not answered, in order; it is at the first."""
        self._messages: deque[bytes] = deque()
        self._environment = environment
        self._process: multiprocessing.context.SpawnProcess | None = None
        self._pipe: Connection | None = None

    def send(self, function: Function, task: Task) -> None:
        """Have the function run on a task, after those that the process has already."""
        message = pickle.dumps((function, task))
        if not self.tasks and not self._is_alive():
            self._start()
        self.tasks.append(task)
        self._messages.append(message)
        self._write(message)

    @property
    def pipe(self) -> Connection:
        """What brings the answers: readable once there is one, or the process has died."""
        assert self._pipe is not None, "a process that was sent tasks was started"
        return self._pipe

    def receive(self) -> Any:
        """What the function returns for the first task, which it drops; raises what the function raises.

        Raises WorkerDied where the process has died; a new one has its other tasks.
        """
        self.tasks.popleft()
        self._messages.popleft()
        try:
            answer = self.pipe.recv_bytes()
        except (EOFError, OSError):
            death = WorkerDied(_describe_end(self.stop()))
            if self.tasks:
                self._start()
                for message in self._messages:
                    self._write(message)
            raise death from None
        result, error = pickle.loads(answer)
        if error is not None:
            raise error
        return result

    def stop(self) -> int:
        """End the process, if it has not ended; its exit code, or minus the signal that ended it."""
        if self._process is None:
            return 0
        self._process.kill()
        self._process.join()
        exit_code = self._process.exitcode
        self._process.close()
        self.pipe.close()
        self._process = self._pipe = None
        return exit_code or 0

    def _start(self) -> None:
        self.stop()
        self._pipe, its_end = SPAWN.Pipe()
        with _environment(self._environment):
            self._process = SPAWN.Process(target=_serve, args=(its_end,), daemon=True)
            self._process.start()
        its_end.close()

    def _is_alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    def _write(self, message: bytes) -> None:
        with suppress(OSError):  # the process has died; whoever receives hears of it
            self.pipe.send_bytes(message)


def run_within_memory(function: Function, task: Task) -> Any:
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


def _serve(pipe: Connection) -> None:
    """What a process does until it is killed, or the process that started it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches all; the first one answers it
    faulthandler.enable()
    messages: SimpleQueue[bytes] = SimpleQueue()
    Thread(target=_listen, args=(pipe, messages), daemon=True).start()
    while True:
        try:
            answer = pickle.dumps((run_within_memory(_run, messages.get()), None))
        except Exception as error:
            answer = _pack(error)
        pipe.send_bytes(answer)


def _listen(pipe: Connection, messages: SimpleQueue[bytes]) -> None:
    """Take messages while the process works, so that nobody waits to send one."""
    with suppress(EOFError, OSError):
        while True:
            messages.put(pipe.recv_bytes())
    os._exit(1)  # the other end is gone, whose results nobody awaits


def _run(message: bytes) -> Any:
    function, task = pickle.loads(message)
    return function(task)


def _pack(error: Exception) -> bytes:
    """An answer that raises an error, with its traceback as a note, in the other process."""
    text = "".join(traceback.format_exception(error))
    error.add_note(f"in a worker process:\n{text}")
    try:
        answer = pickle.dumps((None, error))
        pickle.loads(answer)
    except Exception:  # some libraries' errors do not travel
        answer = pickle.dumps((None, RuntimeError(text)))
    return answer


def _describe_end(exit_code: int) -> str:
    if exit_code < 0:
        return f"killed by {signal.Signals(-exit_code).name}"
    return f"ended with status {exit_code}"


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for a while: libraries read them when they are loaded, before any code of ours runs."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
