"""Graphs of a dialogue, node by node: what kinds with the same graph share."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tests.train.plain import PlainDialogue


def window(count: int, past: int, future: int) -> list[list[int]]:
    """Whom each of ``count`` utterances hears."""
    return [list(range(max(0, i - past), min(count, i + future + 1))) for i in range(count)]


def relational(
    layer, xs: Sequence[Tensor], heard: Sequence[Sequence[int]], weight: Callable[[int, int], Tensor | float],
    speaker: Sequence[int],
) -> list[Tensor]:  # fmt: skip
    """``train.peers.graph.RelationalConvolution``, with ``weight(i, j)`` on the edge into i from j."""
    number = layer.speakers
    turn = [min(each, number - 1) for each in speaker]
    found = []
    for i, x in enumerate(xs):
        by_relation = defaultdict(list)
        for j in heard[i]:
            relation = (int(j < i) * number + turn[j]) * number + turn[i]
            matrix = layer.weight[relation] if layer.coefficients is None else sum(
                c * v for c, v in zip(layer.coefficients[relation], layer.weight, strict=True)
            )  # fmt: skip
            by_relation[relation].append(weight(i, j) * (xs[j] @ matrix))
        sums = [sum(each) / (len(each) if layer.mean else 1) for each in by_relation.values()]
        found.append(layer.itself(x) + sum(sums))
    return found


class ModalityGraph:
    """MMGCN's graph: nodes (modality, utterance) that were observed, and P = D^-1/2 A D^-1/2."""

    def __init__(self, xs: dict[str, list[Tensor]], dialogue: PlainDialogue) -> None:
        self.nodes = [(m, t) for m in xs for t in range(len(dialogue)) if dialogue.observed[m][t]]
        if not self.nodes:
            return
        self.inputs = torch.stack([xs[m][t] for m, t in self.nodes])
        adjacency = torch.stack([torch.stack([_edge(xs, a, b) for b in self.nodes]) for a in self.nodes])
        root = adjacency.sum(1) ** -0.5
        self.matrix = root[:, None] * adjacency * root

    def gcnii(self, layers, number: int, h: Tensor, first: Tensor, alpha: float) -> Tensor:
        """Layer ``number``, from 1."""
        theta = math.log(0.5 / number + 1)
        arriving = self.matrix @ h
        mixed = torch.cat([arriving, first], dim=1) @ layers.weight[number - 1]
        return (theta * mixed + (1 - theta) * ((1 - alpha) * arriving + alpha * first)).relu()

    def classify(self, network, xs: dict[str, list[Tensor]], states: Tensor | None) -> Tensor:
        """Logits from [x, h] of each modality in turn, zero where there is no node."""
        h = dict(zip(self.nodes, () if states is None else states, strict=True))
        size = network.first.out_features
        rows = []
        for t in range(len(next(iter(xs.values())))):
            parts = [
                torch.cat([xs[m][t], h[m, t]]) if (m, t) in h else xs[m][t].new_zeros(len(xs[m][t]) + size)
                for m in xs
            ]
            rows.append(network.classify(torch.cat(parts).relu()))
        return torch.stack(rows)


def _edge(xs, a, b) -> Tensor:
    (m, s), (k, t) = a, b
    x, y = xs[m][s], xs[k][t]
    if m != k and s != t:
        return x.new_zeros(())
    cosine = (x @ y) / (x.norm() * y.norm())
    return 1 - torch.arccos(0.99999 * cosine) / math.pi
