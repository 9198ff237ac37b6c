"""The utterance view of MVN, window by window."""

from __future__ import annotations

import torch

from tests.train.plain import concatenated, gru_step, recurrence, weights_of

_SIZES = {"reduced_sizes": {"audio": 8}, "state_size": 8, "classifier_size": 8, "dropout": 0.0}
SMALL = {"code": _SIZES, "a short window": _SIZES | {"window": 3}}
PAST_ONLY = True


def logits(network, dialogue):
    ss = [network.project(u) for u in concatenated(network, dialogue)]
    found = []
    for i, s in enumerate(ss):
        seen = attend(network, s, ss[max(0, i - network.window) : i]) if i else s
        found.append(network.last(network.hidden(seen).tanh()))
    return torch.stack(found)


def attend(network, s, window):
    forward = recurrence(gru_step, weights_of(network.gru, "l0"), window)
    backward = recurrence(gru_step, weights_of(network.gru, "l0_reverse"), window[::-1])[::-1]
    memory = [sum(each) for each in zip(window, forward, backward, strict=True)]
    weights = torch.stack([s @ m for m in memory]).softmax(0)
    c = sum(weight * m for weight, m in zip(weights, memory, strict=True))
    a, b = network.gate.weight.chunk(2, dim=1)
    z = (a @ s + b @ c).sigmoid()
    return z * s + (1 - z) * c
