"""Where and how fast to run: read from the environment, never part of a result or of its key.

MULTIEMO_DEVICE      auto (default), cpu, cuda, cuda:1 ...
MULTIEMO_WORKERS     worker processes, for networks on a CPU too (default: all cores)
MULTIEMO_WORKERS_PER_GPU   worker processes that share a GPU (default: 3): see ``model_workers``
MULTIEMO_STORE       folder of the item store (default: .multiemo/store in the project)
MULTIEMO_ENGINE      loky (default: processes of this machine) or dask (workers of a cluster)
MULTIEMO_SCHEDULER   address of the cluster's Dask scheduler, such as tcp://host:8786

MULTIEMO_ACCEPT_FAILURES   1: dialogues and files whose workers die twice do not stop a stage, but are
                           quarantined; by default it ends with an error once all others are done

MULTIEMO_FINETUNE_PROCESSES   processes that fine-tune the text encoder together, one on each GPU
                              (default: 1); they must divide ``finetune.batch_utterances``
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, TextIO, cast

from pipeline.errors import UserError, escape

# Set by the engine for each of its processes: 0, 1, ...
WORKER_INDEX = "MULTIEMO_WORKER_INDEX"
# Enough that one computes while the others read the first file of a dialogue and store the last one's result.
WORKERS_PER_GPU = 3
# Each holds the sampled frames of one utterance: 55 MB for 20 of 720p.
MOST_DECODE_THREADS = 8


def device() -> str:
    """The torch device to compute on; imports torch.

    Worker processes share out a machine's GPUs: the first gets the first, and so on.
    """
    import torch

    wanted = os.environ.get("MULTIEMO_DEVICE", "auto")
    if not re.fullmatch(r"auto|cpu|cuda(:(0|[1-9][0-9]*))?", wanted):
        raise UserError(f"MULTIEMO_DEVICE={wanted}: choose auto, cpu, cuda, or cuda:0, cuda:1 and so on")
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if not torch.cuda.is_available():
        raise UserError(f"MULTIEMO_DEVICE={wanted}, but torch finds no CUDA device here")
    gpus = torch.cuda.device_count()
    _, chosen, number = wanted.partition(":")
    if chosen and int(number) >= gpus:
        raise UserError(f"MULTIEMO_DEVICE={wanted}: torch finds {gpus} GPUs here, cuda:0 to cuda:{gpus - 1}")
    return wanted if chosen else f"cuda:{int(os.environ.get(WORKER_INDEX, '0')) % gpus}"


def device_name() -> str:
    """The device in words that tell it from others: cpu, or the GPU's name; imports torch."""
    where = device()
    if where == "cpu":
        return where
    import torch

    return torch.cuda.get_device_name(where)


def device_and_threads() -> str:
    """The device and, on a CPU, torch's number of threads, on which the order of sums depends."""
    import torch

    where = device_name()
    return f"cpu, {torch.get_num_threads()} threads" if where == "cpu" else where


def workers() -> int:
    """Number of worker processes for work that runs on the CPU."""
    return _count("MULTIEMO_WORKERS", _cores())


def finetune_processes() -> int:
    """Number of processes that fine-tune the text encoder together."""
    return _count("MULTIEMO_FINETUNE_PROCESSES", 1)


def _count(variable: str, default: int) -> int:
    value = os.environ.get(variable)
    if value is None:
        return default
    if not value.isdecimal() or int(value) == 0:
        raise UserError(f"{variable}={value}: give a whole number, at least 1")
    return int(value)


def model_workers() -> int:
    """Number of worker processes for work that runs a network: some on each GPU, or all workers.

    A worker decodes the files of its dialogue ahead of the network, but not those of the next dialogue,
    and a dialogue may be one long file: without others, its GPU would idle meanwhile.
    """
    if device() == "cpu":
        return workers()
    import torch

    gpus = 1 if ":" in os.environ.get("MULTIEMO_DEVICE", "") else torch.cuda.device_count()
    return gpus * _count("MULTIEMO_WORKERS_PER_GPU", WORKERS_PER_GPU)


def shares_passes() -> bool:
    """Whether clips of one length go through a network together: on a GPU, which would idle else.

    A core gains nothing by it, and gives a clip the same bits whatever is beside it.
    """
    return device() != "cpu"


def decode_threads() -> int:
    """Number of threads that decode ahead of a network on a GPU; none where networks run on the cores."""
    if device() == "cpu":
        return 0
    return max(1, min(MOST_DECODE_THREADS, _cores() // model_workers()))


class _Shown:
    """A text stream that gets escapes for control characters, save those at the ends that redraw a bar."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text; the number of its characters."""
        bare = text.strip("\r")
        start = len(text) - len(text.lstrip("\r"))
        self._stream.write(text[:start] + escape(bare) + text[start + len(bare) :])
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def printing_whatever_comes() -> Iterator[None]:
    """Within it, what is printed can neither fail for its characters nor act on a terminal by them.

    A batch job's output is often ASCII, and labels, names and paths may hold anything.  Escapes are those of
    JSON as well, so that what is JSON stays it.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # as Python does for errors alone
    with redirect_stdout(cast(TextIO, _Shown(sys.stdout))), redirect_stderr(cast(TextIO, _Shown(sys.stderr))):
        yield


def keep_onednn_caches_small() -> None:
    """For training in bfloat16 on a CPU; to be called before the first product.

    Of each shape that a product in bfloat16 ever had, oneDNN keeps half a megabyte, up to 1024 of them in
    either of two caches; and hardly two batches have the same shape.
    """
    for variable in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(variable, "16")


def engine() -> str:
    """What runs worker processes: loky or dask."""
    name = os.environ.get("MULTIEMO_ENGINE", "loky")
    if name not in ("loky", "dask"):
        raise UserError(f"MULTIEMO_ENGINE={name}: choose loky or dask")
    return name


def scheduler() -> str:
    """Address of the Dask scheduler."""
    address = os.environ.get("MULTIEMO_SCHEDULER")
    if not address:
        raise UserError("MULTIEMO_ENGINE=dask: set MULTIEMO_SCHEDULER to the scheduler's address")
    return address


def accept_failures() -> bool:
    """Whether work whose workers die twice is quarantined, rather than an error."""
    value = os.environ.get("MULTIEMO_ACCEPT_FAILURES")
    if value not in (None, "1"):
        raise UserError(f"MULTIEMO_ACCEPT_FAILURES={value}: set it to 1, or not at all")
    return value == "1"


def store_root() -> Path:
    """Folder of the item store, shared by every experiment of a project."""
    folder = os.environ.get("MULTIEMO_STORE")
    # Absolute: a cluster's workers start elsewhere, and so do queued experiments.
    return project_root() / Path(folder or ".multiemo/store").expanduser()


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def checkpoint_root() -> Path:
    """Folder of what is unfinished; the project's own, as no two clones can go on with one training."""
    return project_root() / ".multiemo" / "checkpoints"


def project_root() -> Path:
    """The project's folder; for a queued experiment, which DVC runs below .dvc/tmp, the one above."""
    here = Path.cwd().resolve()
    for folder in here.parents:
        if folder.name == ".dvc":
            return folder.parent
    return here
