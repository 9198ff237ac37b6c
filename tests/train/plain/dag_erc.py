"""DAG-ERC, node by node."""

from __future__ import annotations

import torch

from tests.train.plain import concatenated, gru_step, weights_of

SMALL = {"code": {"reduced_sizes": {"audio": 8}, "hidden_size": 8, "dropout": 0.0}}
PAST_ONLY = True


def logits(network, dialogue):
    us = concatenated(network, dialogue)
    states = [[network.first(u).relu() for u in us]]
    for layer in network.layers:
        states.append(nodes(layer, states[-1], dialogue.speaker))
    first, _, second, _, _, last = network.classify
    found = []
    for *hs, u in zip(*states, us, strict=True):
        found.append(last(second(first(torch.cat([*hs, u])).relu()).relu()))
    return torch.stack(found)


def nodes(layer, before, speakers):
    same, other = layer.relate.weight.chunk(2, dim=1)
    hs = []
    for i, h_before in enumerate(before):
        message = torch.zeros_like(h_before)
        if past := predecessors(i, speakers):
            weights = torch.stack([layer.score(hs[j])[0] for j in past]).softmax(0)
            for weight, j in zip(weights, past, strict=True):
                relation = same if speakers[j] == speakers[i] else other
                message = message + weight * (relation @ hs[j])
        (c,) = gru_step(weights_of(layer.context, ""), h_before, (message,))
        (p,) = gru_step(weights_of(layer.party, ""), message, (h_before,))
        hs.append(c + p)
    return hs


def predecessors(i, speakers):
    found = []
    for j in reversed(range(i)):
        found.append(j)
        if speakers[j] == speakers[i]:
            break
    return found
