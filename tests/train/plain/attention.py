"""Multi-head attention, query by query."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def attend(
    attention, queries: Sequence[Tensor], contexts: Sequence[Tensor], keys: Sequence[int]
) -> list[Tensor]:
    """``train.peers.transformer.Attention`` of each query to contexts at ``keys``; zero if there are none."""
    found = []
    for query in queries:
        heads = []
        for head in range(attention.heads):
            q = attention.query(query).chunk(attention.heads)[head]
            k, v = (
                [project(contexts[t]).chunk(attention.heads)[head] for t in keys]
                for project in (attention.key, attention.value)
            )
            scores = [q @ each / len(q) ** 0.5 for each in k]
            weights = torch.stack(scores).softmax(0) if scores else ()
            heads.append(sum((w * each for w, each in zip(weights, v, strict=True)), 0 * q))
        found.append(attention.output(torch.cat(heads)))
    return found
