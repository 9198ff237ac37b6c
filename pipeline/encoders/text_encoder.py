"""The text encoder that fine-tuning starts from: one of transformers, or a small untrained RoBERTa."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tokenizers import ByteLevelBPETokenizer
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    RobertaConfig,
    RobertaForSequenceClassification,
    RobertaTokenizer,
    set_seed,
)

from pipeline.encoders.pretrained import HEADS, load_pretrained
from pipeline.encoders.weights import ModelFolder, find_model
from pipeline.encoders.windows import turn_text
from pipeline.errors import UserError
from pipeline.manifest import Utterance
from pipeline.params import UNTRAINED, CorpusParams


def weights_digest(corpus: str, params: CorpusParams) -> dict[str, str]:
    """Digests of the encoder's files, fetched from the hub if need be; none if it is untrained."""
    if params.finetune.encoder == UNTRAINED:
        return {}
    return find_encoder(corpus, params).digest


def find_encoder(corpus: str, params: CorpusParams) -> ModelFolder:
    """The folder of an encoder that is not untrained; UserError where there is none."""
    return find_model(_key(corpus), params.finetune.encoder, params.finetune.revision)


def describe_encoder(corpus: str, params: CorpusParams) -> str:
    """Where the encoder comes from, in plain words."""
    given = params.finetune
    if given.encoder == UNTRAINED:
        return f"UNTRAINED RoBERTa (random weights, seed {given.untrained.seed})"
    revision = f" at revision {given.revision}" if given.revision else ""
    kind = AutoConfig.from_pretrained(find_encoder(corpus, params).path).model_type
    return f"{kind} from {given.encoder}{revision}"


def load_encoder(
    corpus: str, params: CorpusParams, utterances: Sequence[Utterance], labels: Sequence[str]
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Tokenizer, and network with a new classifier head for ``labels``.

    UserError where the encoder cannot be had, lacks weights, or reads fewer tokens than
    ``window.max_tokens``.
    """
    set_seed(params.finetune.seed)  # of the classifier head
    names = {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }
    encoder = params.finetune.encoder
    tokenizer: PreTrainedTokenizerBase
    if encoder == UNTRAINED:
        tokenizer = _train_tokenizer(utterances, params)
        return tokenizer, _untrained_roberta(params, tokenizer, names)
    found = find_encoder(corpus, params)
    tokenizer = AutoTokenizer.from_pretrained(found.path)
    model = load_pretrained(
        AutoModelForSequenceClassification,
        found.path,
        _key(corpus),
        optional=HEADS,
        ignore_mismatched_sizes=True,
        **names,
    )
    limit = min(tokenizer.model_max_length, _positions(model))
    if params.window.max_tokens > limit:
        raise UserError(
            f"corpora.{corpus}.window.max_tokens: {params.window.max_tokens} is more than the {limit} that"
            f" {encoder} reads"
        )
    return tokenizer, model


def _key(corpus: str) -> str:
    return f"corpora.{corpus}.finetune.encoder"


def _positions(model: PreTrainedModel) -> float:
    """Most tokens that the network has positions for."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is None or positions < 0:  # positions are relative
        return float("inf")
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            # RoBERTa and its kin count from behind the index of padding.
            return positions - (0 if module.padding_idx is None else module.padding_idx + 1)
    return positions


def _train_tokenizer(utterances: Sequence[Utterance], params: CorpusParams) -> RobertaTokenizer:
    """A byte-level BPE, RoBERTa's kind, from the corpus's own training lines."""
    lines = [f" {turn_text(row, params.window.speaker_names)}" for row in utterances if row.split == "train"]
    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator(
        lines, vocab_size=params.finetune.untrained.vocabulary, special_tokens=special, show_progress=False
    )
    learned = json.loads(bpe.to_str())["model"]
    return RobertaTokenizer(
        vocab=learned["vocab"],
        merges=[tuple(pair) for pair in learned["merges"]],  # type: ignore[misc]
        model_max_length=params.window.max_tokens,
    )


def _untrained_roberta(
    params: CorpusParams, tokenizer: PreTrainedTokenizerBase, names: dict[str, Any]
) -> RobertaForSequenceClassification:
    size = params.finetune.untrained
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden_size,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.hidden_size,
        hidden_dropout_prob=size.dropout,
        attention_probs_dropout_prob=size.dropout,
        # RoBERTa numbers positions from padding_idx + 1 = 2.
        max_position_embeddings=params.window.max_tokens + 2,
        type_vocab_size=1,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **names,
    )
    set_seed(size.seed)
    return RobertaForSequenceClassification(config)
