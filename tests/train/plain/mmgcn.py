"""MMGCN, node by node."""

from __future__ import annotations

from tests.train.plain import bidirectional, inputs
from tests.train.plain.graph import ModalityGraph

_SIZES = {"reduced_sizes": {"audio": 8}, "node_size": 8, "size": 6, "layers": 3, "dropout": 0.0}
SMALL = {"code": _SIZES, "two rows for all speakers": _SIZES | {"speakers": 2}}


def logits(network, dialogue):
    xs = {m: [network.encode[m](u) for u in us] for m, us in inputs(network, dialogue).items()}
    rows = network.speaker.weight
    turns = [rows[min(speaker, len(rows) - 1)] for speaker in dialogue.speaker]
    context = bidirectional(network.context, xs["text"])
    xs["text"] = [x + turn for x, turn in zip(context, turns, strict=True)]
    graph = ModalityGraph(xs, dialogue)
    if not graph.nodes:
        return graph.classify(network, xs, None)
    first = h = network.first(graph.inputs).relu()
    for number in range(1, len(network.layers.weight) + 1):
        h = graph.gcnii(network.layers, number, h, first, alpha=0.1)
    return graph.classify(network, xs, h)
