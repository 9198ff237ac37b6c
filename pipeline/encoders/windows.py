"""Context windows: the tokens that a text encoder reads for one utterance [3.3.1].

    <s> past utterances </s></s> current utterance </s></s> future utterances </s>

Every utterance is prefixed with its speaker's name, after EmoBERTa (Kim and Vossen 2021).  Special
tokens are those of the model's own tokenizer, so that any encoder of transformers works; what reads like
one in a transcript or a name is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pipeline.errors import UserError
from pipeline.manifest import Utterance
from pipeline.params import WindowParams


@dataclass(frozen=True)
class Window:
    """What the encoder reads for one utterance."""

    token_ids: list[int]
    past: int
    """Utterances before the current one that fitted in."""
    future: int
    """Utterances after the current one that fitted in."""
    dropped: int
    """Utterances of the dialogue within reach of the params that did not fit in."""
    cut: bool
    """Whether the current utterance alone was too long and lost its end."""


@dataclass(frozen=True)
class _SpecialTokens:
    """A tokenizer's tokens before, between and after two segments."""

    before: list[int]
    between: list[int]
    after: list[int]


def turn_text(utterance: Utterance, speaker_names: str) -> str:
    """An utterance as the encoder reads it: ``ROSS: Hi.``"""
    if speaker_names == "none" or not utterance.speaker:
        return utterance.text
    name = utterance.speaker.upper() if speaker_names == "upper" else utterance.speaker
    return f"{name}: {utterance.text}"


def build_windows(dialogue: Sequence[Utterance], tokenizer: Any, params: WindowParams) -> list[Window]:
    """One window per utterance of a dialogue.

    Where a window is too long, the farthest utterances are dropped first, evenly on both sides, and
    never the current one.
    """
    special = _special_tokens(tokenizer)
    # The space keeps a byte-level tokenizer's words the same wherever an utterance stands.
    turns = _tokenize([f" {turn_text(utterance, params.speaker_names)}" for utterance in dialogue], tokenizer)
    return [_build_window(turns, current, special, params) for current in range(len(turns))]


def describe_losses(windows: Iterable[Window]) -> str:
    """In words, what did not fit into the windows."""
    built = list(windows)
    cut, short = sum(window.cut for window in built), sum(window.dropped > 0 for window in built)
    return f"{len(built)} windows, {cut} with the utterance itself cut, {short} without all of their context"


def _build_window(
    turns: Sequence[list[int]], current: int, special: _SpecialTokens, params: WindowParams
) -> Window:
    # A separator stands wherever context may stand, so that the encoder can tell past from future.
    sides = [params.past_utterances > 0, params.future_utterances > 0]
    room = params.max_tokens - len(special.before) - len(special.after) - sum(sides) * len(special.between)
    centre = turns[current][:room]
    room -= len(centre)
    reach_past = min(current, params.past_utterances)
    reach_future = min(len(turns) - 1 - current, params.future_utterances)
    past = future = 0
    open_past = open_future = True
    while open_past or open_future:
        open_past = open_past and past < reach_past and len(turns[current - past - 1]) <= room
        if open_past:
            past, room = past + 1, room - len(turns[current - past - 1])
        open_future = open_future and future < reach_future and len(turns[current + future + 1]) <= room
        if open_future:
            future, room = future + 1, room - len(turns[current + future + 1])
    segments = [
        *([[*chain(*turns[current - past : current]), *special.between]] if sides[0] else []),
        centre,
        *([[*special.between, *chain(*turns[current + 1 : current + 1 + future])]] if sides[1] else []),
    ]
    return Window(
        token_ids=[*special.before, *chain(*segments), *special.after],
        past=past,
        future=future,
        dropped=reach_past - past + reach_future - future,
        cut=len(centre) < len(turns[current]),
    )


def _tokenize(texts: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """Token ids of texts in which ``</s>`` or ``<unk>`` are but words, as speech recognition writes them."""

    def encode(texts: Sequence[str]) -> list[list[int]]:
        # Not verbose: it would warn of every text that is longer than the model reads.
        ids: list[list[int]] = tokenizer(
            list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False
        )["input_ids"]
        return ids

    special = set(tokenizer.all_special_ids)
    # SentencePiece finds special tokens as words of its vocabulary, unless they are parted.
    whole = [
        token
        for token, ids in zip(tokenizer.all_special_tokens, encode(tokenizer.all_special_tokens), strict=True)
        if special.intersection(ids)
    ]
    if whole:
        found = re.compile("|".join(sorted(map(re.escape, whole), key=len, reverse=True)))
        texts = [found.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text) for text in texts]
    special.discard(tokenizer.unk_token_id)  # stands for unknown letters
    return [[id for id in ids if id not in special] for ids in encode(texts)]


def _special_tokens(tokenizer: Any) -> _SpecialTokens:
    """Read off how the tokenizer joins two segments."""
    encoded = tokenizer("a", "a", return_special_tokens_mask=True)
    ids, mask = encoded["input_ids"], encoded["special_tokens_mask"]
    words = [index for index, is_special in enumerate(mask) if not is_special]
    if not words[0]:
        raise UserError(
            f"{type(tokenizer).__name__} puts nothing before a text, which could stand for the whole; choose"
            f" an encoder such as RoBERTa or BERT"
        )
    gap = next((index for index in range(words[0], words[-1]) if mask[index]), None)
    if gap is None:
        raise UserError(
            f"{type(tokenizer).__name__} puts nothing between two texts, so an utterance could not be told"
            f" from its context; choose an encoder such as RoBERTa or BERT"
        )
    resume = next(index for index in range(gap, words[-1] + 1) if not mask[index])
    return _SpecialTokens(ids[: words[0]], ids[gap:resume], ids[words[-1] + 1 :])
