"""Same seed, same machine, same bits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Seeds torch and lets it run only what gives the same bits on every run on one device.

    On the CPU that holds for one number of threads (``torch.get_num_threads``).  RuntimeError, from
    torch, if an operation has no such form.  Leaves torch's global state as it was.
    """
    # Of each shape that a product in bfloat16 ever had, oneDNN keeps half a megabyte, up to 1024 of them in
    # either of two caches; and hardly two batches have the same shape.
    for variable in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(variable, "16")
    # cuBLAS reads this when its first handle is made; without it some products differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    mode = torch.get_deterministic_debug_mode()
    # Filling fresh memory with NaN helps to find reads of what was never written; here it costs time.
    settings: Any = torch.utils.deterministic
    fill = settings.fill_uninitialized_memory
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        # The same as use_deterministic_algorithms(True), which imports torch's compiler: 3 s and 150 MB.
        torch.set_deterministic_debug_mode("error")
        settings.fill_uninitialized_memory = False
        try:
            yield
        finally:
            torch.set_deterministic_debug_mode(mode)
            settings.fill_uninitialized_memory = fill
