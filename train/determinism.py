"""Same seed, same machine, same bits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pipeline.runtime import keep_onednn_caches_small


@contextmanager
def deterministic(seed: int, device: torch.device) -> Iterator[None]:
    """Seeds torch and lets it run only what gives the same bits on every run on ``device``.

    One thread computes, because on a CPU the order of sums depends on how many do, and results must not
    depend on the machine's cores.  RuntimeError, from torch, if an operation has no such form.  Leaves
    torch's global state as it was.
    """
    keep_onednn_caches_small()
    # cuBLAS reads this when its first handle is made; without it some products differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    mode, threads = torch.get_deterministic_debug_mode(), torch.get_num_threads()
    # Filling fresh memory with NaN helps to find reads of what was never written; here it costs time.
    settings: Any = torch.utils.deterministic
    fill = settings.fill_uninitialized_memory
    # Named, because fork_rng warns where it finds several GPUs and is not told which.
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        # The same as use_deterministic_algorithms(True), which imports torch's compiler: 3 s and 150 MB.
        torch.set_deterministic_debug_mode("error")
        settings.fill_uninitialized_memory = False
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.set_deterministic_debug_mode(mode)
            settings.fill_uninitialized_memory = fill
