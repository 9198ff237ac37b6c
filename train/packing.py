"""Where the utterances of a batch stand, so that no work is spent on padding."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor


class Packing:
    """n utterances of B dialogues, one dialogue after the other, the longest first.

    Dialogues differ so much in length that padded to the longest of a batch of 100, six tenths of
    MELD would be padding.  So what treats every utterance alone works on [n, size], and a recurrence
    reads in steps.  For attention, dialogues lie end to end in L lanes of T places, as many as the longest
    dialogue has utterances: few places are left empty.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        """``lengths``: utterances of each dialogue, at least 1, in falling order."""
        if list(lengths) != sorted(lengths, reverse=True):
            raise ValueError("dialogues must stand in falling order of their lengths")
        longest = lengths[0]
        valid = torch.arange(longest) < torch.tensor(lengths)[:, None]
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
        by_step = valid.T.flatten().nonzero().squeeze(1)  # t * B + b
        step, dialogue = by_step // len(lengths), by_step % len(lengths)
        self.by_step = (dialogue * longest + step).to(device, non_blocking=True)
        """int64 [n]: place in the flattened [B, T] of each utterance sorted by step, then dialogue."""
        # Utterances before each dialogue, [B]; its utterance t is row first + t.
        first = torch.tensor([0, *accumulate(lengths)][:-1])
        rows = first[dialogue] + step
        self._rows_by_step = rows.to(device, non_blocking=True)
        self._steps_by_row = rows.argsort().to(device, non_blocking=True)
        dialogue, position = places // longest, places % longest
        self.position = position.to(device, non_blocking=True)
        """int64 [n]: place of each utterance in its dialogue, from 0."""
        firsts = torch.tensor(_fill_lanes(lengths))
        in_lanes = firsts[dialogue] + position
        holds = torch.full((int(firsts.max()) // longest + 1, longest), -1)
        holds.view(-1)[in_lanes] = dialogue
        self.lanes = holds.shape
        """L, T: lanes, and places in each."""
        self._places_in_lanes = in_lanes.to(device, non_blocking=True)
        self.together = (holds[:, :, None] == holds[:, None, :]).to(device, non_blocking=True)
        """bool [L, T, T]: whether two places hold utterances of one dialogue, or nothing both of them."""

    def pack(self, padded: Tensor) -> Tensor:
        """[B, T, ...] to [n, ...]."""
        return padded.flatten(0, 1).index_select(0, self.places)

    def pad(self, packed: Tensor) -> Tensor:
        """[n, ...] to [B, T, ...], zero at padding."""
        return _Spread.apply(packed, self.places, self.shape.numel()).unflatten(0, self.shape)

    def to_steps(self, packed: Tensor) -> Tensor:
        """[n, ...] sorted by step, then dialogue: as ``PackedSequence`` has it."""
        return packed.index_select(0, self._rows_by_step)

    def from_steps(self, by_step: Tensor) -> Tensor:
        """The opposite of ``to_steps``."""
        return by_step.index_select(0, self._steps_by_row)

    def to_lanes(self, packed: Tensor) -> Tensor:
        """[n, ...] to [L, T, ...], zero where a lane is empty."""
        return _Spread.apply(packed, self._places_in_lanes, self.lanes.numel()).unflatten(0, self.lanes)

    def from_lanes(self, lanes: Tensor) -> Tensor:
        """[L, T, ...] to [n, ...]."""
        return lanes.flatten(0, 1).index_select(0, self._places_in_lanes)

    def attended(self, key: Tensor) -> tuple[Tensor, Tensor]:
        """Whom each utterance attends to where some are keys, bool [n]: the keys of its dialogue.

        bool [L, T, T], and [L, T, 1] whether there is a key at all.  Softmax needs something to normalise: in
        a dialogue without any key, all its utterances become keys, and what they give must be replaced by 0.
        So do the empty places of a lane for each other.
        """
        keys = self.together & self.to_lanes(key).unsqueeze(1)
        keyed = keys.any(dim=-1, keepdim=True)
        return keys | (self.together & ~keyed), keyed


class _Spread(torch.autograd.Function):
    """Rows [n, ...] to their places in zeros [count, ...].

    ``index_copy`` does the same, but keeps its rows for the gradient, which does not need them.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor, count: int) -> Tensor:
        ctx.save_for_backward(places)
        return rows.new_zeros(count, *rows.shape[1:]).index_copy_(0, places, rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        return gradients[0].index_select(0, places), None, None


def _fill_lanes(lengths: Sequence[int]) -> list[int]:
    """Place of each dialogue's first utterance in the flattened lanes.

    Each dialogue, the longest first, goes to the first lane that has room for it.
    """
    longest = lengths[0]
    used: list[int] = []
    firsts = []
    for length in lengths:
        lane = next((lane for lane, end in enumerate(used) if end + length <= longest), len(used))
        if lane == len(used):
            used.append(0)
        firsts.append(lane * longest + used[lane])
        used[lane] += length
    return firsts
