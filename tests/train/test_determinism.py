"""What training sets for its process."""

from __future__ import annotations

import subprocess
import sys

from pipeline.store.code import PROJECT

PRODUCTS = """
import resource
import torch
from train.determinism import deterministic

with deterministic(0, torch.device('cpu')):
    weight = torch.ones(256, 256, dtype=torch.bfloat16)
    for rows in range(400, 1000):
        torch.ones(rows, 256, dtype=torch.bfloat16) @ weight
        if rows == 500:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_memory_does_not_grow_with_the_shapes_of_batches_in_bfloat16() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRODUCTS], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 60  # MiB; half a MiB for each of 500 shapes would be 250
