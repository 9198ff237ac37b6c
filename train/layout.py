"""Where the utterances of a batch stand, so that no work is spent on padding."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

SHORTEST = 2 / 3
"""Shortest dialogue that is padded to the longest of its group, as a share of that."""


class Layout:
    """n utterances of B dialogues, one dialogue after the other, the longest first.

    Dialogues differ so much in length that padded to the longest of a batch of 100, six tenths of
    MELD would be padding.  All of the network but attention treats every utterance alone and works on
    [n, size]; a recurrence reads in steps; only attention itself pads, on the CPU in groups of
    dialogues of similar length.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        """``lengths``: utterances of each dialogue, at least 1, in falling order."""
        if list(lengths) != sorted(lengths, reverse=True):
            raise ValueError("dialogues must stand in falling order of their lengths")
        length = torch.tensor(lengths)
        valid = torch.arange(lengths[0]) < length[:, None]
        # Built on the CPU, where the lengths are known, so that no GPU need be waited for.
        places = valid.flatten().nonzero().squeeze(1)
        counts = valid.sum(dim=0)
        self.shape = valid.shape
        """B, T: dialogues, and utterances of the longest."""
        self.places = places.to(device, non_blocking=True)
        """int64 [n]: place of each utterance in the flattened [B, T]."""
        self.valid = valid.to(device, non_blocking=True)
        """bool [B, T]: False at padding."""
        self.dialogues_at_step: list[int] = counts.tolist()
        """Dialogues that have an utterance t, for each step t below T: always the first ones."""
        self.first_of_step: list[int] = [0, *accumulate(self.dialogues_at_step)][:-1]
        """Where step t begins when the utterances are sorted by step instead of by dialogue."""
        self.groups = _group_by_length(lengths, shortest=SHORTEST if device.type == "cpu" else 0)
        """(first dialogue, dialogues, utterances of the longest) of each group that attends as a block."""
        by_step = valid.T.flatten().nonzero().squeeze(1)  # t * B + b
        step, dialogue = by_step // len(lengths), by_step % len(lengths)
        self.by_step = (dialogue * lengths[0] + step).to(device, non_blocking=True)
        """int64 [n]: place in the flattened [B, T] of each utterance sorted by step, then dialogue."""
        in_blocks = torch.cat(
            [valid[first : first + count, :longest].flatten() for first, count, longest in self.groups]
        )
        self._block_sizes = [count * longest for _, count, longest in self.groups]
        self._places_in_blocks = in_blocks.nonzero().squeeze(1).to(device, non_blocking=True)

    def pack(self, padded: Tensor) -> Tensor:
        """[B, T, ...] to [n, ...]."""
        return padded.flatten(0, 1).index_select(0, self.places)

    def pad(self, packed: Tensor) -> Tensor:
        """[n, ...] to [B, T, ...], zero at padding."""
        return _Spread.apply(packed, self.places, self.shape.numel()).unflatten(0, self.shape)

    def spread(self, packed: Tensor) -> Tensor:
        """[n, ...] to [m, ...], the rows of all groups, padded to the longest dialogue of each with zeros."""
        return _Spread.apply(packed, self._places_in_blocks, sum(self._block_sizes))

    def to_blocks(self, spread: Tensor) -> list[Tensor]:
        """[m, ...] to one view [dialogues, T, ...] for each group."""
        blocks = spread.split(self._block_sizes)
        return [block.unflatten(0, shape) for block, (_, *shape) in zip(blocks, self.groups, strict=True)]

    def from_blocks(self, blocks: Sequence[Tensor]) -> Tensor:
        """What ``spread`` and ``to_blocks`` do, undone: [n, ...]."""
        return torch.cat([block.flatten(0, 1) for block in blocks]).index_select(0, self._places_in_blocks)


class _Spread(torch.autograd.Function):
    """Rows [n, ...] to their places in zeros [count, ...].

    ``index_copy`` does the same, but keeps its rows for the gradient, which does not need them: with the
    queries, keys and values of all layers, a sixth of what training holds of a batch.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor, count: int) -> Tensor:
        ctx.save_for_backward(places)
        return rows.new_zeros(count, *rows.shape[1:]).index_copy_(0, places, rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        return gradients[0].index_select(0, places), None, None


def _group_by_length(lengths: Sequence[int], shortest: float) -> list[tuple[int, int, int]]:
    """Cuts falling lengths where one is below ``shortest`` times the first of its group."""
    firsts = [0]
    for dialogue, length in enumerate(lengths):
        if length < shortest * lengths[firsts[-1]]:
            firsts.append(dialogue)
    return [(first, stop - first, lengths[first]) for first, stop in pairwise([*firsts, len(lengths)])]
