"""What the params of other papers' networks have in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from pipeline.params import Modality, Section

Size = Annotated[int, Field(ge=1)]
Window = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(ge=0, lt=1)]

PLAIN_ADAM: dict[str, Any] = {"adam_betas": (0.9, 0.999), "learning_rate_decay": 1.0, "l2": 0.0}
"""How most of their codes train: Adam with PyTorch's betas, at one rate.  Its weight decay is twice l2."""


class PeerParams(Section):
    """Of each network beside its own."""

    reduced_sizes: dict[Modality, Size] = Field({"audio": 512})
    """Width that a modality's vectors are first brought to by a linear layer.  The papers' own audio vectors
    have 100 to 300 numbers, openSMILE's have 6373; here it is as in MultiEMO, so that features are equal."""
    class_weight_exponent: Annotated[float, Field(ge=0)] = 0.0
    """How much more a rare class counts in cross-entropy: its weight is 1 / frequency in training to this
    power, and 0 gives all classes the same."""
