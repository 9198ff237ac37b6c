"""MultiEMO: its params, and the network that they make.

What needs torch is imported where it is used, so that reading params.yaml stays quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.params import Fraction, Section

if TYPE_CHECKING:
    from train.multiemo import MultiEmo


class ContextParams(Section):
    """How each modality sees the rest of the dialogue before fusion."""

    text: Literal["none", "dialogue_rnn"] = "none"
    """The text encoder has read the context already [3.3.1]."""
    audio: Literal["none", "dialogue_rnn"] = "dialogue_rnn"
    """[3.3.2]"""
    visual: Literal["none", "dialogue_rnn"] = "dialogue_rnn"
    """[3.3.3]"""


class LossParams(Section):
    """Weights and constants of the training objective [3.6, 4.3]."""

    swfc_weight: Fraction = 0.4
    """mu_1 of Eq. 22."""
    soft_hgr_weight: Fraction = 0.3
    """mu_2 of Eq. 22; cross-entropy gets what the two leave."""
    temperature: Annotated[float, Field(gt=0)] = 0.8
    """tau of Eq. 18."""
    sample_weight_exponent: Annotated[float, Field(ge=0)] = 0.8
    """alpha of Eq. 19: how much more a rare class counts."""
    focus: Annotated[float, Field(ge=0)] = 2.0
    """gamma of Eq. 19: how much more a hard pair counts."""
    normalise_z: bool = False
    """Scale z of Eq. 14 to unit length before Eq. 18; the paper does not.  Where training stays at one class
    for long, this helps (docs/results.md)."""

    @model_validator(mode="after")
    def _weights_leave_cross_entropy(self) -> Self:
        if self.swfc_weight + self.soft_hgr_weight > 1:
            raise ValueError("swfc_weight + soft_hgr_weight must not exceed 1 (Eq. 22)")
        return self


class Params(Section):
    """Sizes, fusion and loss [3.4-3.6, 4.3]."""

    kind: Literal["multiemo"] = "multiemo"
    context: ContextParams = ContextParams()
    fusion: Literal["multiattn", "concat"] = "multiattn"
    """MultiAttn [3.4], or plain concatenation (the ablation "w/o MultiAttn")."""
    layers: Annotated[int, Field(ge=1)] = 6
    """T, layers of MultiAttn [4.3]."""
    heads: Annotated[int, Field(ge=1)] = 4
    """Attention heads; the paper does not say how many."""
    hidden_size: Annotated[int, Field(ge=2, multiple_of=2)] = 256
    """Width of each modality's context vector and of fusion [3.3]."""
    audio_size: Annotated[int, Field(ge=1)] = 512
    """Width that the audio features are brought to before their context [3.3.2]."""
    feedforward_size: Annotated[int, Field(ge=1)] = 1024
    """Inner width of Eq. 10; the paper does not say."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Dropout rate [4.3]."""
    loss: LossParams = LossParams()

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.hidden_size % self.heads:
            raise ValueError(f"heads: {self.heads} does not divide hidden_size: {self.hidden_size}")
        return self


def build(params: Params, dims: Mapping[str, int], classes: int) -> MultiEmo:
    """A new network for features of these widths, initialised by torch's random numbers."""
    from train.multiemo import MultiEmo

    return MultiEmo(params, dims, classes)
