"""BC-LSTM, utterance by utterance."""

from __future__ import annotations

import torch

from tests.train.plain import bidirectional, dialogue_attention, inputs

_SIZES = {"reduced_sizes": {"audio": 8}, "state_size": 8, "classifier_size": 8, "dropout": 0.0}
SMALL = {
    "code": _SIZES,
    "attention": _SIZES | {"attention": True},
    "hierarchical": _SIZES | {"hierarchical": True},
}


def logits(network, dialogue):
    modalities = inputs(network, dialogue)
    for name, lstm in network.each.items():
        modalities[name] = bidirectional(lstm, modalities[name])
    us = [torch.cat(each) for each in zip(*modalities.values(), strict=True)]
    hs = bidirectional(network.together, us)
    if network.attention is not None:
        hs = dialogue_attention(network.attention, hs)
    hidden, _, _, last = network.classify
    return torch.stack([last(hidden(h).relu()) for h in hs])
