"""Inputs by the thousand, each tried in a child with limits of time and memory.

A target is a module of this package with two functions: ``make(random, folder)`` writes an input into an
empty folder, and ``attempt(folder)`` does with it what a user would: it returns how that went in a word, or
raises where the program went wrong.  An input that takes more than LIMIT_S or LIMIT_BYTES, or ends the
child, is a failure as one that raises is.
"""

from __future__ import annotations

import importlib
import io
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from pipeline.console.__main__ import main

LIMIT_S = 20.0
LIMIT_BYTES = 2 << 30
WORKERS = 2
KEPT = Path("fuzz")


@dataclass
class Result:
    """What became of the inputs."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)
    """By seed: what went wrong."""
    slowest_s: float = 0.0
    most_bytes: int = 0

    @property
    def tried(self) -> int:
        """How many inputs."""
        return self.outcomes.total() + len(self.failures)


def run_command(arguments: list[str]) -> tuple[int, str, str]:
    """Exit status of ``multiemo``, what it prints, and what it says of an error."""
    output, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(errors):
        status = main(arguments)
    return status, output.getvalue(), errors.getvalue()


def fuzz(
    target: str,
    seconds: float,
    seed: int = 0,
    most: int = sys.maxsize,
    limit_s: float = LIMIT_S,
    limit_bytes: int = LIMIT_BYTES,
    kept: Path = KEPT,
) -> Result:
    """Try the inputs of ``most`` seeds from ``seed`` on, or until the time is over.

    ``target`` is the name of a module.
    """
    result, seeds = Result(), iter(range(seed, min(seed + most, sys.maxsize)))
    end_s = time.monotonic() + seconds

    def work() -> None:
        child = _Child(target, limit_s, limit_bytes)
        while time.monotonic() < end_s and (number := next(seeds, None)) is not None:
            outcome, failure, took_s, took_bytes = child.attempt(number)
            result.slowest_s = max(result.slowest_s, took_s)
            result.most_bytes = max(result.most_bytes, took_bytes)
            if failure:
                result.failures[number] = failure
                folder = kept / target.rpartition(".")[2] / str(number)
                shutil.rmtree(folder, ignore_errors=True)
                shutil.copytree(child.folder, folder, symlinks=True)
                (folder / "failure.txt").write_text(failure, encoding="utf-8", errors="backslashreplace")
            else:
                result.outcomes[outcome] += 1
        child.stop()

    with ThreadPoolExecutor(WORKERS) as pool:
        for future in [pool.submit(work) for _ in range(WORKERS)]:
            future.result()
    return result


class _Child:
    """A process that tries inputs, replaced when one has ended it."""

    def __init__(self, target: str, limit_s: float, limit_bytes: int) -> None:
        self._target, self._limit_s, self._limit_bytes = target, limit_s, limit_bytes
        self._home = Path(tempfile.mkdtemp(prefix="fuzz."))
        self.folder = self._home / "input"
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(self._target, self.folder, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._connection.recv()  # all is imported, which is not the input's time

    def attempt(self, seed: int) -> tuple[str, str, float, int]:
        """Outcome, or what went wrong; seconds and bytes that it took."""
        start_s, most_bytes = time.monotonic(), 0
        self._connection.send(seed)
        failure = ""
        while not self._connection.poll(0.05):
            most_bytes = max(most_bytes, _resident_bytes(self._process.pid))
            if time.monotonic() - start_s > self._limit_s:
                failure = f"took more than {self._limit_s:g} s"
            elif most_bytes > self._limit_bytes:
                failure = f"took more than {self._limit_bytes / 1e9:.1f} GB"
            if failure:
                self._process.kill()
                break
        took_s = time.monotonic() - start_s
        if not failure:
            try:
                outcome, failure, peak_bytes = self._connection.recv()
                most_bytes = max(most_bytes, peak_bytes)
                if not failure and most_bytes > self._limit_bytes:
                    failure = f"took {most_bytes / 1e9:.1f} GB"
                return outcome, failure, took_s, most_bytes
            except EOFError:
                self._process.join()
                failure = f"ended the process with status {self._process.exitcode}"
        self._process.join()
        self._start()
        return "", failure, took_s, most_bytes

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.join()
        shutil.rmtree(self._home, ignore_errors=True)


def _serve(target: str, folder: Path, connection: Connection) -> None:
    """Make and try the input of each seed that comes."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tempfile.tempdir = str(folder.parent)  # which goes with the parent
    module = importlib.import_module(target)
    make: Callable[[Random, Path], None] = module.make
    attempt: Callable[[Path], str] = module.attempt
    connection.send("ready")
    while True:
        seed = connection.recv()
        _forget_peak()
        os.chdir(folder.parent)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        os.chdir(folder)
        outcome = failure = ""
        try:
            make(Random(seed), folder)
            outcome = attempt(folder)
        except BaseException:
            failure = traceback.format_exc()
        connection.send((outcome, failure, _peak_bytes()))


def _resident_bytes(process: int | None) -> int:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):  # it has ended, or this is no Linux
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _forget_peak() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")), 0)
