"""Text by an encoder of transformers, such as the paper's RoBERTa, or a small untrained one [3.3.1]."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.encoders.weights import Weights
from pipeline.encoders.windows import turn_text
from pipeline.errors import UserError
from pipeline.manifest import Utterance
from pipeline.params import Decay, Section, Seed, WeightsParams, WindowParams

if TYPE_CHECKING:
    from transformers import (
        PreTrainedModel,
        PreTrainedTokenizerBase,
        RobertaForSequenceClassification,
        RobertaTokenizer,
    )


class UntrainedTextEncoder(Section):
    """Size of the RoBERTa that is built when ``weights`` are ``untrained``."""

    seed: Seed = 0
    """Seed of the initial weights."""
    hidden_size: Annotated[int, Field(ge=16)] = 256
    """Width of the network and of the text feature."""
    layers: Annotated[int, Field(ge=1)] = 4
    """Transformer layers."""
    heads: Annotated[int, Field(ge=1)] = 4
    """Attention heads; must divide ``hidden_size``."""
    dropout: Decay = 0.1
    """Dropout rate of hidden states and attention (RoBERTa's); more where there is little to learn from."""
    vocabulary: Annotated[int, Field(ge=300)] = 2000
    """Most tokens of the byte-level BPE that is trained on the corpus's own training lines."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.hidden_size % self.heads:
            raise ValueError(f"heads: {self.heads} does not divide hidden_size: {self.hidden_size}")
        return self


class Params(WeightsParams):
    """An encoder of transformers."""

    kind: Literal["transformers"] = "transformers"
    untrained: UntrainedTextEncoder = UntrainedTextEncoder()
    """Size of the encoder when it is ``untrained``; without effect otherwise."""


@dataclass(frozen=True)
class Encoder:
    """An encoder of transformers, not loaded."""

    key: str
    """The section of params.yaml, for errors."""
    params: Params
    weights: Weights | None
    """None if it is untrained."""
    description: str
    """In plain words."""

    @property
    def path(self) -> Path | None:
        """Its folder; None if it is untrained."""
        return self.weights.path if self.weights else None

    @property
    def settings(self) -> dict[str, object]:
        """What defines it: its size where it is untrained, else the weights, whatever their name."""
        if self.weights:
            return {"encoder": {"kind": self.params.kind}, "weights": self.weights.digest}
        return {"encoder": self.params.model_dump(mode="json", include={"kind", "untrained"})}

    def load(
        self, utterances: Sequence[Utterance], labels: Sequence[str], window: WindowParams, seed: int
    ) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
        """Tokenizer, and network with a new classifier head for ``labels``, made of ``seed``.

        An untrained one learns its words from ``utterances``.  UserError where the encoder lacks weights,
        or reads fewer tokens than ``window.max_tokens``.
        """
        from transformers import AutoModelForSequenceClassification, set_seed

        from pipeline.encoders.pretrained import HEADS, load_pretrained, read_tokenizer

        set_seed(seed)  # of the classifier head
        names = {
            "id2label": dict(enumerate(labels)),
            "label2id": {label: index for index, label in enumerate(labels)},
        }
        if self.path is None:
            bpe = _train_tokenizer(utterances, window, self.params.untrained.vocabulary)
            return bpe, _untrained_roberta(self.params.untrained, window, bpe, names)
        tokenizer: PreTrainedTokenizerBase = read_tokenizer(self.path, self.key)
        network = load_pretrained(
            AutoModelForSequenceClassification,
            self.path,
            self.key,
            optional=HEADS,
            ignore_mismatched_sizes=True,
            **names,
        )
        limit = min(tokenizer.model_max_length, _positions(network))
        if window.max_tokens > limit:
            corpus = self.key.split(".text.")[0]
            raise UserError(
                f"{corpus}.window.max_tokens: {window.max_tokens} is more than the {limit} that"
                f" {self.params.weights} reads"
            )
        return tokenizer, network


def find_encoder(key: str, params: Params, weights: Weights | None) -> Encoder:
    """The encoder that the params name; ``weights``: where they are, None for untrained ones."""
    if weights is None:
        description = f"UNTRAINED RoBERTa (random weights, seed {params.untrained.seed})"
        return Encoder(key, params, None, description)
    from transformers import AutoConfig
    from transformers.models.auto import modeling_auto as families

    from pipeline.encoders.pretrained import read_folder

    revision = f" at revision {params.revision}" if params.revision else ""
    config = read_folder(AutoConfig, weights.path, key)
    family = config.model_type
    # Whoever fills in masked words reads both ways.  A decoder's first token knows nothing of what follows.
    reads_both_ways = family in families.MODEL_FOR_MASKED_LM_MAPPING_NAMES and not config.is_encoder_decoder
    if not reads_both_ways or family not in families.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES:
        raise UserError(
            f"{key}: {weights.path} is a {family}, and no encoder of text that reads both ways, such as"
            " RoBERTa or BERT"
        )
    return Encoder(key, params, weights, f"{family} from {params.weights}{revision}")


def _positions(model: PreTrainedModel) -> float:
    """Most tokens that the network has positions for."""
    from torch import nn

    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is None or positions < 0:  # positions are relative
        return float("inf")
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            # RoBERTa and its kin count from behind the index of padding.
            return positions - (0 if module.padding_idx is None else module.padding_idx + 1)
    return positions


def _train_tokenizer(
    utterances: Sequence[Utterance], window: WindowParams, vocabulary: int
) -> RobertaTokenizer:
    """A byte-level BPE, RoBERTa's kind, from the corpus's own training lines."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaTokenizer

    lines = [f" {turn_text(row, window.speaker_names)}" for row in utterances if row.split == "train"]
    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator(lines, vocab_size=vocabulary, special_tokens=special, show_progress=False)
    learned = json.loads(bpe.to_str())["model"]
    return RobertaTokenizer(
        vocab=learned["vocab"],
        merges=[tuple(pair) for pair in learned["merges"]],  # type: ignore[misc]
        model_max_length=window.max_tokens,
    )


def _untrained_roberta(
    size: UntrainedTextEncoder,
    window: WindowParams,
    tokenizer: PreTrainedTokenizerBase,
    names: dict[str, Any],
) -> RobertaForSequenceClassification:
    from transformers import RobertaConfig, RobertaForSequenceClassification, set_seed

    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden_size,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.hidden_size,
        hidden_dropout_prob=size.dropout,
        attention_probs_dropout_prob=size.dropout,
        # RoBERTa numbers positions from padding_idx + 1 = 2.
        max_position_embeddings=window.max_tokens + 2,
        type_vocab_size=1,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **names,
    )
    set_seed(size.seed)
    return RobertaForSequenceClassification(config)
