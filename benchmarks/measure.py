"""Times that can be compared: taken in turn within one run, so that a busy machine slows all alike."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import torch

from pipeline.store.code import PROJECT

MELD_UTTERANCES = 13_708


def time_in_turn(
    rounds: int, clock: Callable[[], float] = time.perf_counter, **functions: Callable[[], object]
) -> dict[str, float]:
    """Median seconds of each function over the rounds, in each of which every one runs once.

    For functions of one thread on the CPU, ``time.process_time`` leaves out what other processes take.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start = clock()
            function()
            seconds[name].append(clock() - start)
    return {name: median(times) for name, times in seconds.items()}


def median_s(function: Callable[[], object], rounds: int) -> float:
    """Median seconds of a call after one to warm up, with all that it asks of a GPU."""

    def whole() -> None:
        function()
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()

    whole()
    return time_in_turn(rounds, whole=whole)["whole"]


def run_stage(project: Path, *arguments: str, shown: bool = False, **environment: str) -> float:
    """Seconds that a stage takes in a project with a store of its own, the start of Python included."""
    own = {"PYTHONPATH": str(PROJECT), "MULTIEMO_STORE": str(project / "store")}
    command = [sys.executable, "-m", "stages", *arguments]
    start = time.perf_counter()
    subprocess.run(
        command, cwd=project, env=os.environ | own | environment, check=True, capture_output=not shown
    )
    return time.perf_counter() - start


def flops(function: Callable[[], object]) -> int:
    """Floating-point operations of all convolutions and matrix products that a function does."""
    from torch.utils.flop_counter import FlopCounterMode  # brings in torch's compiler, 80 MB

    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


def peak_flops_per_s(clock: Callable[[], float] = time.perf_counter, seconds: float = 1.0) -> float:
    """The machine's peak with the threads that PyTorch has now, by large matrix products."""
    side = 1024
    matrix = torch.rand(side, side)
    matrix @ matrix
    best_s, end = float("inf"), clock() + seconds
    while clock() < end:
        start = clock()
        matrix @ matrix
        best_s = min(best_s, clock() - start)
    return 2 * side**3 / best_s


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def machine() -> str:
    """Processor, cores, vector instructions and PyTorch's version."""
    info = Path("/proc/cpuinfo")
    names = info.read_text().split("model name\t: ")[1:] if info.exists() else [platform.processor()]
    flags = torch.backends.cpu.get_cpu_capability()
    return (
        f"{names[0].splitlines()[0].strip()}, {os.cpu_count()} cores ({flags}), PyTorch {torch.__version__}"
    )
