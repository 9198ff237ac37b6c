"""Processes that torchrun brings together."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from pipeline import runtime
from pipeline.errors import UserError


def needs_processes(processes: int) -> bool:
    """Whether work that is to use so many GPUs, or CPU processes, cannot be done in this process.

    Libraries that find several GPUs use them all, so that a single one needs a process that sees no
    other.
    """
    if runtime.device() == "cpu":
        return processes > 1
    import torch

    return processes > 1 or torch.cuda.device_count() > 1


def device_and_threads(processes: int) -> str:
    """``runtime.device_and_threads()`` as each of so many processes says it: they share out the cores."""
    if runtime.device() == "cpu" and needs_processes(processes):
        return f"cpu, {_threads(processes)} threads"
    return runtime.device_and_threads()


def run_module(module: str, arguments: Sequence[str], processes: int, lock: int) -> None:
    """Run ``python -m <module>`` in processes that torchrun brings together; UserError if one fails.

    The processes keep ``lock``, so that it is held until the last of them has ended, even where this
    process is killed.
    """
    environment = dict(os.environ)
    if runtime.device() == "cpu":
        environment["OMP_NUM_THREADS"] = str(_threads(processes))
    else:
        environment["CUDA_VISIBLE_DEVICES"] = _visible_devices(processes)
        environment["MULTIEMO_DEVICE"] = "cuda"
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, "-m", *launcher, "-m", module, *arguments]
    running = subprocess.Popen(command, env=environment, pass_fds=[lock])
    try:
        status = running.wait()
    except BaseException:
        running.terminate()  # torchrun ends its processes, as it would not if it were killed
        running.wait()
        raise
    if status:
        raise UserError(f"{processes} processes of {module} failed; the first error above says why")


def _threads(processes: int) -> int:
    """Threads of each of so many processes on a CPU: as many as are asked for, or a share of the cores."""
    import torch

    most = torch.get_num_threads()  # what torch makes of OMP_NUM_THREADS, or of the cores
    return most if "OMP_NUM_THREADS" in os.environ else min(most, max(1, runtime.workers() // processes))


def _visible_devices(count: int) -> str:
    """The GPUs for this many processes, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    available = torch.cuda.device_count()
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = given.split(",") if given else [str(index) for index in range(available)]
    first = int(runtime.device().partition(":")[2])
    if first + count > available:
        raise UserError(
            f"MULTIEMO_FINETUNE_PROCESSES={count} from GPU {first} on, but there are {available} GPUs"
        )
    return ",".join(names[first : first + count])
