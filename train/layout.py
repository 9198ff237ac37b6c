"""Where the utterances of a batch stand, so that no work is spent on padding."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor


class Layout:
    """n utterances of B dialogues, one dialogue after the other, the longest first.

    Dialogues differ so much in length that padded to the longest of a batch of 100, six tenths of
    MELD would be padding.  All of the network but attention treats every utterance alone and works on
    [n, size]; a recurrence reads in steps; only attention itself pads.
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
        by_step = valid.T.flatten().nonzero().squeeze(1)  # t * B + b
        step, dialogue = by_step // len(lengths), by_step % len(lengths)
        self.by_step = (dialogue * lengths[0] + step).to(device, non_blocking=True)
        """int64 [n]: place in the flattened [B, T] of each utterance sorted by step, then dialogue."""

    def pack(self, padded: Tensor) -> Tensor:
        """[B, T, ...] to [n, ...]."""
        return padded.flatten(0, 1).index_select(0, self.places)

    def pad(self, packed: Tensor) -> Tensor:
        """[n, ...] to [B, T, ...], zero at padding."""
        padded = packed.new_zeros(self.shape.numel(), *packed.shape[1:])
        return padded.index_copy(0, self.places, packed).unflatten(0, self.shape)
