"""MM-DFN, node by node."""

from __future__ import annotations

import torch

from tests.train.plain import bidirectional, inputs, lstm_step, weights_of
from tests.train.plain.graph import ModalityGraph

_SIZES = {"reduced_sizes": {"audio": 8}, "node_size": 8, "size": 6, "layers": 3, "dropout": 0.0}
SMALL = {"code": _SIZES, "cross-entropy": _SIZES | {"focus": 0.0}}


def logits(network, dialogue):
    vs = {m: [network.encode[m](u) for u in us] for m, us in inputs(network, dialogue).items()}
    xs = {m: bidirectional(network.context, v) if m == "text" else v for m, v in vs.items()}
    for weight, (m, v) in zip(network.party_weights, vs.items(), strict=True):
        for speaker in set(dialogue.speaker):
            own = [t for t, turn in enumerate(dialogue.speaker) if turn == speaker]
            said = dict(zip(own, bidirectional(network.party, [v[t] for t in own]), strict=True))
            xs[m] = [x + weight * said[t] if t in said else x for t, x in enumerate(xs[m])]
    graph = ModalityGraph(xs, dialogue)
    if not graph.nodes:
        return graph.classify(network, xs, None)
    first = h = network.first(graph.inputs).relu()
    zero = h.new_zeros(h.shape[1])
    memory = [(zero, zero)] * len(h)
    for number in range(1, len(network.layers.weight) + 1):
        memory = [
            lstm_step(weights_of(network.memory, ""), node, state)
            for node, state in zip(h, memory, strict=True)
        ]
        g = torch.stack([state[0] for state in memory])
        h = graph.gcnii(network.layers, number, g, first, alpha=0.2) + h
    return graph.classify(network, xs, h)
