"""Context windows: the tokens that a text encoder reads for one utterance [3.3.1].

    <s> past utterances </s></s> current utterance </s></s> future utterances </s>

Every utterance is prefixed with its speaker's name, after EmoBERTa (Kim and Vossen 2021).  Special
tokens are those of the model's own tokenizer, so that any encoder of transformers works.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

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
    turns = [
        # The space keeps a byte-level tokenizer's words the same wherever an utterance stands.
        tokenizer(f" {turn_text(utterance, params.speaker_names)}", add_special_tokens=False)["input_ids"]
        for utterance in dialogue
    ]
    special = _special_tokens(tokenizer)
    return [_build_window(turns, current, special, params) for current in range(len(turns))]


def _build_window(
    turns: Sequence[list[int]], current: int, special: _SpecialTokens, params: WindowParams
) -> Window:
    # A separator stands wherever context may stand, so that the encoder can tell past from future.
    sides = [params.past_utterances > 0, params.future_utterances > 0]
    room = params.max_tokens - len(special.before) - len(special.after) - sum(sides) * len(special.between)
    centre = turns[current][:room]
    room -= len(centre)
    past = future = 0
    open_past, open_future = sides
    while open_past or open_future:
        if open_past:
            index = current - past - 1
            open_past = index >= 0 and past < params.past_utterances and len(turns[index]) <= room
            if open_past:
                past, room = past + 1, room - len(turns[index])
        if open_future:
            index = current + future + 1
            open_future = (
                index < len(turns) and future < params.future_utterances and len(turns[index]) <= room
            )
            if open_future:
                future, room = future + 1, room - len(turns[index])
    segments = [
        *([[*chain(*turns[current - past : current]), *special.between]] if sides[0] else []),
        centre,
        *([[*special.between, *chain(*turns[current + 1 : current + 1 + future])]] if sides[1] else []),
    ]
    token_ids = [*special.before, *chain(*segments), *special.after]
    return Window(token_ids, past, future, cut=len(centre) < len(turns[current]))


def _special_tokens(tokenizer: Any) -> _SpecialTokens:
    """Read off how the tokenizer joins two segments."""
    encoded = tokenizer("a", "a", return_special_tokens_mask=True)
    ids, mask = encoded["input_ids"], encoded["special_tokens_mask"]
    words = [index for index, is_special in enumerate(mask) if not is_special]
    gap = next(index for index in range(words[0], words[-1]) if mask[index])
    resume = next(index for index in range(gap, words[-1] + 1) if not mask[index])
    return _SpecialTokens(ids[: words[0]], ids[gap:resume], ids[words[-1] + 1 :])
