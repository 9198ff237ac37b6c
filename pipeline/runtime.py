"""Where and how fast to run: read from the environment, never part of a result or of its key.

MULTIEMO_DEVICE    auto (default), cpu, cuda, cuda:1 ...
MULTIEMO_WORKERS   worker processes (default: all cores)
MULTIEMO_STORE     folder of the item store (default: .multiemo/store in the project)
"""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.errors import UserError


def device() -> str:
    """The torch device to compute on; imports torch."""
    import torch

    wanted = os.environ.get("MULTIEMO_DEVICE", "auto")
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted != "cpu" and not wanted.startswith("cuda"):
        raise UserError(f"MULTIEMO_DEVICE={wanted}: choose auto, cpu or cuda")
    if wanted != "cpu" and not torch.cuda.is_available():
        raise UserError(f"MULTIEMO_DEVICE={wanted}, but torch finds no CUDA device here")
    return wanted


def workers() -> int:
    """Number of worker processes for work that runs on the CPU."""
    given = os.environ.get("MULTIEMO_WORKERS")
    if given is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not given.isdigit() or int(given) == 0:
        raise UserError(f"MULTIEMO_WORKERS={given}: give a whole number, at least 1")
    return int(given)


def model_workers() -> int:
    """Number of worker processes for work that runs a network: one on a GPU, else all workers."""
    return 1 if device().startswith("cuda") else workers()


def store_root() -> Path:
    """Folder of the item store, shared by every experiment of a project."""
    given = os.environ.get("MULTIEMO_STORE")
    return Path(given).expanduser() if given else _project_root() / ".multiemo" / "store"


def _project_root() -> Path:
    """The project's folder; for a queued experiment, which DVC runs below .dvc/tmp, the one above."""
    here = Path.cwd().resolve()
    for folder in here.parents:
        if folder.name == ".dvc":
            return folder.parent
    return here
