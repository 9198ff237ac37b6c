"""Dropout [4.3] that is not held up by its random numbers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_VALUES_OF_16_BITS = 1 << 16


class Dropout(nn.Module):
    """Zeroes each element with probability ``rate`` in training, and scales the others up in return.

    On the CPU, torch draws a whole random number for each element, one after the other in one thread; an
    epoch of MELD with six layers then takes a tenth longer.  Here each draw of 64 bits serves four elements;
    the rate is met to 1 in 65,536, and the scale is that of the rate that results.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """The same shape; in training on the CPU in no lower precision than float32."""
        if not self.training or not self.rate:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.rate)
        dropped = round(self.rate * _VALUES_OF_16_BITS)
        draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        # Numbers, by which both x and its gradient are multiplied: choosing by truth values takes six times
        # as long.  In full precision, in which the scale is exact enough.
        factor = torch.empty(x.numel(), dtype=torch.promote_types(x.dtype, torch.float32))
        torch.ge(draws.view(torch.int16)[: x.numel()], dropped - _VALUES_OF_16_BITS // 2, out=factor)
        return x * factor.mul_(_VALUES_OF_16_BITS / (_VALUES_OF_16_BITS - dropped)).view_as(x)
