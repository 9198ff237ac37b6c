"""The iterative network after Lu et al., iteration by iteration."""

from __future__ import annotations

import torch

from tests.train.plain import bidirectional, concatenated

SMALL = {
    "definition": {
        "reduced_sizes": {"audio": 8}, "emotion_size": 5, "state_size": 8, "classifier_size": 8,
        "dropout": 0.0,
    }
}  # fmt: skip


def logits(network, dialogue):
    us = concatenated(network, dialogue)
    found = [network.first(u) for u in us]
    hidden, _, _, last = network.classify
    for _ in range(network.iterations):
        emotions = [network.embed.weight @ each.softmax(0) for each in found]
        inputs = [torch.cat(pair) for pair in zip(us, emotions, strict=True)]
        found = [last(hidden(h).relu()) for h in bidirectional(network.gru, inputs)]
    return torch.stack(found)
