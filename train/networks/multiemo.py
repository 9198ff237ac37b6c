"""MultiEMO: its params, and the network that they make.

What needs torch is imported where it is used, so that reading params.yaml stays quick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.params import Fraction, Modality, Section
from train.networks import merge

if TYPE_CHECKING:
    from train.multiemo.network import MultiEmo


class ContextParams(Section):
    """How each modality sees the rest of the dialogue before fusion."""

    text: Literal["none", "dialogue_rnn"] = "none"
    """The text encoder has read the context already [3.3.1]."""
    audio: Literal["none", "dialogue_rnn"] = "dialogue_rnn"
    """[3.3.2]"""
    visual: Literal["none", "dialogue_rnn"] = "dialogue_rnn"
    """[3.3.3]"""


class DialogueRnnParams(Section):
    """DialogueRNN, of each modality whose context is read by one."""

    state_size: Annotated[int, Field(ge=1)] | None = None
    """Width of its states per direction; if none is given, what makes the output as wide as hidden_size."""
    directions: Literal["forward", "both"] = "both"
    attention: Literal["general", "simple"] = "general"
    """To past global states: by what the utterance is (Majumder et al. 2019, Eq. 3), or whatever it is."""
    output: Literal["states", "relu", "linear_relu"] = "states"
    """The context vector: the emotion states, those rectified, or a linear layer of them, rectified."""


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
    for long, this helps (docs/experiments.md)."""

    class_weights: Literal["batch", "training"] = "batch"
    """Eq. 19's (N / n_y)^alpha: by the counts of each batch, as printed, or by those of the training split
    and scaled to the sum 1 over classes, as in the authors' code."""
    memory_utterances: Annotated[int, Field(ge=0, le=100_000)] = 0
    """How many utterances of the steps before stand beside a batch in Eq. 18, so that a small batch has
    positives of every class; their z is that of their own step, without a gradient, and the oldest leave."""
    soft_hgr: Literal["paper", "authors"] = "paper"
    """Eq. 20, or the form in the authors' code (train.multiemo.losses)."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of cross-entropy (Szegedy et al. 2016)."""

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
    layers: Annotated[int, Field(ge=1, le=100)] = 6
    """T, layers of MultiAttn [4.3]."""
    heads: Annotated[int, Field(ge=1)] = 4
    """Attention heads; the paper does not say how many."""
    hidden_size: Annotated[int, Field(ge=2, multiple_of=2)] = 256
    """Width of each modality's context vector and of fusion [3.3]."""
    dialogue_rnn: DialogueRnnParams = DialogueRnnParams()
    reduced_sizes: dict[Modality, Annotated[int, Field(ge=1)]] = Field({"audio": 512})
    """Width that a modality's features are brought to before their context [3.3.2]."""
    feedforward_size: Annotated[int, Field(ge=1)] = 1024
    """Inner width of Eq. 10; the paper does not say."""
    attention_bias: bool = False
    """Whether the projections of attention have a bias; Eq. 2-4 show none."""
    mlp_size: Annotated[int, Field(ge=1)] | None = None
    """Width of l of Eq. 15; that of hidden_size if none is given."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Dropout rate [4.3]."""
    loss: LossParams = LossParams()

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.hidden_size % self.heads:
            raise ValueError(f"heads: {self.heads} does not divide hidden_size: {self.hidden_size}")
        return self

    @model_validator(mode="after")
    def _states_fill_the_context(self) -> Self:
        rnn = self.dialogue_rnn
        states_size = (rnn.state_size or 0) * (1 if rnn.directions == "forward" else 2)
        if rnn.output != "linear_relu" and states_size not in (0, self.hidden_size):
            raise ValueError(
                f"dialogue_rnn.state_size: {states_size} in all directions is not hidden_size:"
                f" {self.hidden_size}; leave it out, or set dialogue_rnn.output: linear_relu"
            )
        return self


# The values of the scripts with which the authors trained the figures that they published; Adam's weight
# decay of 1e-5 is an l2 of 5e-6.  What differs from the paper's text beside values is named in the params.
_AUTHORS = {
    "adam_betas": (0.9, 0.999),
    "l2": 5e-6,
    "schedule": "plateau",
    "unscaled": ("text", "audio", "visual"),
    "network": {
        "dropout": 0.0,
        "attention_bias": True,
        "dialogue_rnn": {"attention": "simple", "output": "linear_relu"},
        "loss": {"normalise_z": True, "class_weights": "training", "soft_hgr": "authors"},
    },
}
RECIPES: dict[str, Any] = {
    # Ahead on validation on MELD's real utterances, over seeds and folds (docs/experiments.md): the
    # authors' forms, regularised, without Soft-HGR, whose share of the loss grows as batches get smaller.
    "default": merge(
        _AUTHORS,
        {
            "epochs": 20,
            "learning_rate": 3e-4,
            "schedule": "step",
            "learning_rate_decay": 1.0,
            "l2": 3e-3,
            "unscaled": (),
            "network": {
                "layers": 2,
                "dropout": 0.4,
                "mlp_size": 512,
                "reduced_sizes": {"audio": 256, "visual": 256},
                "dialogue_rnn": {"directions": "forward", "output": "relu"},
                "loss": {
                    "swfc_weight": 0.3,
                    "soft_hgr_weight": 0.0,
                    "temperature": 1.4,
                    "sample_weight_exponent": 1.2,
                },
            },
        },
    ),
    "paper": {},
    "authors-meld": merge(
        _AUTHORS,
        {
            "epochs": 15,
            "batch_dialogues": 100,
            "network": {
                "layers": 2,
                "mlp_size": 512,
                "reduced_sizes": {"audio": 256, "visual": 256},
                "dialogue_rnn": {"directions": "forward", "output": "relu"},
                "loss": {
                    "swfc_weight": 0.3,
                    "soft_hgr_weight": 0.3,
                    "temperature": 1.4,
                    "sample_weight_exponent": 1.2,
                },
            },
        },
    ),
    "authors-iemocap": merge(
        _AUTHORS,
        {
            "batch_dialogues": 64,
            "network": {
                "context": {"text": "dialogue_rnn"},
                "reduced_sizes": {"text": 256, "audio": 256, "visual": 256},
                "dialogue_rnn": {"state_size": 256},
                "loss": {
                    "swfc_weight": 0.4,
                    "soft_hgr_weight": 0.4,
                    "sample_weight_exponent": 1.1,
                    "focus": 2.4,
                },
            },
        },
    ),
}
"""Values of a model's entry by name; what a recipe leaves out has the default, which is the paper's."""


def build(params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> MultiEmo:
    """A new network for features of these widths, initialised by torch's random numbers."""
    from train.multiemo.network import MultiEmo

    return MultiEmo(params, dims, class_counts)
