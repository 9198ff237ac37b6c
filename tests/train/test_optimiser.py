from __future__ import annotations

import subprocess
import sys

import torch
from torch import nn

from train.optimiser import Adam


def network_after(steps, make_optimiser):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 3))
    unused = nn.Parameter(torch.ones(2))
    step = make_optimiser([*network.parameters(), unused])
    for _ in range(steps):
        network(torch.randn(11, 7)).square().sum().backward()
        step()
    return [*network.parameters(), unused]


def ours(parameters):
    optimiser = Adam(parameters, learning_rate=0.01, betas=(0.9, 0.99), l2=0.1)

    def step():
        optimiser.step()
        optimiser.forget_gradients()

    return step


def theirs(parameters):
    optimiser = torch.optim.Adam(parameters, lr=0.01, betas=(0.9, 0.99), weight_decay=0.2, fused=True)

    def step():
        optimiser.step()
        optimiser.zero_grad()

    return step


def test_steps_are_those_of_torchs_adam_bit_for_bit():
    assert all(map(torch.equal, network_after(5, ours), network_after(5, theirs)))


def test_a_restored_optimiser_goes_on_with_the_same_bits():
    parameter = nn.Parameter(torch.ones(3))
    first, second = (Adam([parameter], 0.1, (0.9, 0.99), 0.0) for _ in range(2))
    parameter.grad = torch.tensor([1.0, -2.0, 3.0])
    first.step()
    second.restore({name: [t.clone() for t in tensors] for name, tensors in first.state().items()})
    before = parameter.detach().clone()
    first.step()
    after = parameter.detach().clone()
    parameter.data.copy_(before)
    second.step()
    assert torch.equal(parameter, after)
    assert not torch.equal(after, before)


def test_training_does_without_torchs_compiler():
    code = """
import sys, torch
from train.determinism import deterministic
from train.optimiser import Adam
parameter = torch.nn.Parameter(torch.ones(3))
with deterministic(0, torch.device('cpu')):
    optimiser = Adam([parameter], 0.1, (0.9, 0.99), 0.0)
    parameter.square().sum().backward()
    optimiser.step()
assert parameter.max() < 1
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
