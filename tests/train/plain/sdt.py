"""SDT, utterance by utterance."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from tests.train.plain import inputs
from tests.train.plain.attention import attend

_SIZES = {"reduced_sizes": {"audio": 8}, "size": 8, "heads": 2, "dropout": 0.0}
SMALL = {
    "IEMOCAP": _SIZES,
    "MELD": _SIZES | {"gate": "identity", "temperature": 8.0},
    "two rows for all speakers": _SIZES | {"speakers": 2},
}


def logits(network, dialogue):
    rows = network.speaker.weight
    size = rows.shape[1]
    xs = {}
    for m, us in inputs(network, dialogue).items():
        xs[m] = []
        for t, (u, speaker) in enumerate(zip(us, dialogue.speaker, strict=True)):
            angles = [t / 10_000 ** (2 * (place // 2) / size) for place in range(size)]
            position = [math.cos(a) if place % 2 else math.sin(a) for place, a in enumerate(angles)]
            xs[m].append(
                network.encode[m](u) + rows[min(speaker, len(rows) - 1)] + torch.tensor(position).to(u)
            )
    united = {}
    for m in xs:
        parts = [[] for _ in dialogue.speaker]
        for k in xs:
            layer = network.attend[f"{m}_{k}"]
            keys = [t for t, seen in enumerate(dialogue.observed[k]) if seen]
            inner, _, _, outer, _ = layer.feed_forward
            for t, attended in enumerate(attend(layer.attention, xs[m], xs[k], keys)):
                x = xs[m][t] + attended
                x = x + outer(F.gelu(inner(layer.norm(x))))
                parts[t].append(network.gate[f"{m}_{k}"](x).sigmoid() * x)
        united[m] = [network.unite[m](torch.cat(part)) for part in parts]
    found = []
    for fs in zip(*united.values(), strict=True):
        weights = torch.stack([network.weigh(f) for f in fs]).softmax(0)
        found.append(network.classify(sum(w * f for w, f in zip(weights, fs, strict=True))))
    return torch.stack(found)
