"""Recurrences over the dialogues of a batch, without padding: none depends on what stands beside it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from train.dropout import Dropout
from train.packing import Packing


class Bidirectional(nn.Module):
    """Layers of ``nn.LSTM`` or ``nn.GRU`` over each dialogue in both directions, dropout between layers.

    Layers of their own, and not torch's ``num_layers``: on a GPU the dropout of that has random numbers which
    outlast a training, so that the same seed would not give the same bits.
    """

    def __init__(
        self,
        cell: type[nn.LSTM] | type[nn.GRU],
        input_size: int,
        size: int,
        layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        widths = [input_size, *[2 * size] * (layers - 1)]
        self.layers = nn.ModuleList(cell(width, size, bidirectional=True) for width in widths)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, packing: Packing) -> Tensor:
        """[n, input_size] to [n, 2 * size]: states of the forward, then of the backward direction."""
        dialogues = torch.tensor(packing.dialogues_at_step, device="cpu")
        # Many small steps one upon the other: little to gain from a lower precision, and much to lose.
        with torch.autocast(x.device.type, enabled=False):
            states = packing.to_steps(x.to(next(self.parameters()).dtype))
            for number, layer in enumerate(self.layers):
                inputs = self.dropout(states) if number else states
                states = layer(PackedSequence(inputs, dialogues))[0].data
            return packing.from_steps(states)
