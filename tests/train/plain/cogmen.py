"""COGMEN, utterance by utterance."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tests.train.plain import concatenated
from tests.train.plain.attention import attend
from tests.train.plain.graph import relational, window

_SIZES = {
    "reduced_sizes": {"audio": 8}, "width": 8, "heads": 2, "transformer_layers": 2, "feedforward_size": 12,
    "graph_size": 6, "past": 2, "future": 1, "speakers": 4, "dropout": 0.0,
}  # fmt: skip
SMALL = {"code": _SIZES, "two heads in the graph, two speakers": _SIZES | {"graph_heads": 2, "speakers": 2}}


def logits(network, dialogue):
    zs = [network.project(u) for u in concatenated(network, dialogue)]
    for layer in network.transformer:
        attended = attend(layer.attention, zs, zs, range(len(zs)))
        zs = [layer.attention_norm(z + a) for z, a in zip(zs, attended, strict=True)]
        inner, _, _, outer, _ = layer.feed_forward
        zs = [layer.norm(z + outer(inner(z).relu())) for z in zs]
    xs = [network.node(z) for z in zs]
    heard = window(len(xs), *network.window)
    hs = relational(network.relational, xs, heard, lambda i, j: 1.0, dialogue.speaker)
    graph = network.attend
    ys = []
    for i, h in enumerate(hs):
        heads = []
        for head in range(graph.heads):
            q, *ks = (
                each.chunk(graph.heads)[head]
                for each in (graph.query(h), *(graph.key(hs[j]) for j in heard[i]))
            )
            vs = [graph.value(hs[j]).chunk(graph.heads)[head] for j in heard[i]]
            weights = torch.stack([q @ k / len(q) ** 0.5 for k in ks]).softmax(0)
            heads.append(sum(w * v for w, v in zip(weights, vs, strict=True)))
        ys.append(graph.itself(h) + torch.cat(heads))
    norm = network.norm
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    hidden, _, _, last = network.classify
    return torch.stack(
        [last(hidden(F.leaky_relu((y - norm.running_mean) * scale + norm.bias)).relu()) for y in ys]
    )
