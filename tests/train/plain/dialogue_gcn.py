"""DialogueGCN, utterance by utterance."""

from __future__ import annotations

import torch

from tests.train.plain import bidirectional, concatenated, dialogue_attention
from tests.train.plain.graph import relational, window

_SIZES = {
    "reduced_sizes": {"audio": 8}, "state_size": 8, "past": 2, "future": 3, "bases": 3, "speakers": 4,
    "graph_size": 8, "classifier_size": 8, "dropout": 0.0,
}  # fmt: skip
# First without attention: with its squashed scores, short dialogues' utterances can hardly be told apart.
SMALL = {
    "without attention": _SIZES | {"attention": False, "speakers": 2},
    "code": _SIZES,
    "paper": _SIZES | {"activation": "relu"},
}


def logits(network, dialogue):
    gs = bidirectional(network.context, concatenated(network, dialogue))
    heard = window(len(gs), *network.window)
    weights = [
        torch.stack([network.edge.weight @ gs[i] @ gs[j] for j in heard[i]]).softmax(0)
        for i in range(len(gs))
    ]
    hs = relational(
        network.relational, gs, heard, lambda i, j: weights[i][heard[i].index(j)], dialogue.speaker
    )
    hs = [network.activation(h) for h in hs]
    layer = network.convolution
    ys = [layer.itself(h) + layer.neighbours(sum(hs[j] for j in heard[i])) for i, h in enumerate(hs)]
    states = [torch.cat([g, network.activation(y)]) for g, y in zip(gs, ys, strict=True)]
    if network.attention is not None:
        states = dialogue_attention(network.attention, states)
    hidden, _, _, last = network.classify
    return torch.stack([last(hidden(state).relu()) for state in states])
