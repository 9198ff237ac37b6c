"""What training sets for its process."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest
import torch

from pipeline.store.code import PROJECT
from train.determinism import deterministic

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


@pytest.mark.parametrize(("device", "expected"), [("cpu", []), ("cuda:1", ["cuda:1"])])
def test_of_several_gpus_only_the_one_that_computes_gets_its_state_back(
    device: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[str] = []
    given_back: list[str] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda where: kept.append(str(where)))
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, where: given_back.append(str(where)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with deterministic(0, torch.device(device)):
            assert given_back == []
    assert kept == given_back == expected
