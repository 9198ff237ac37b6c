from __future__ import annotations

import pytest
from tokenizers import ByteLevelBPETokenizer
from transformers import BertTokenizer, RobertaTokenizer

from pipeline.manifest import Utterance
from pipeline.params import WindowParams
from pipeline.windows import build_windows

TEXTS = ["a", "b", "c", "d", "e"]


@pytest.fixture(scope="module")
def roberta() -> RobertaTokenizer:
    """Knows bytes only: one token per letter, and one for each space."""
    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator([], vocab_size=300, special_tokens=special, show_progress=False)
    return RobertaTokenizer(vocab=bpe.get_vocab(), merges=[])


def dialogue(texts: list[str] = TEXTS, speaker: str = "") -> list[Utterance]:
    return [Utterance(f"u{i}", "train", "d", i, speaker, "joy", text) for i, text in enumerate(texts)]


def shown(tokenizer, texts=TEXTS, speaker="", **params) -> list[str]:
    windows = build_windows(dialogue(texts, speaker), tokenizer, WindowParams(**{"max_tokens": 64} | params))
    return [tokenizer.decode(window.token_ids) for window in windows]


def test_past_current_and_future_are_separated_as_the_tokenizer_separates(roberta) -> None:
    assert shown(roberta, past_utterances=2, future_utterances=1) == [
        "<s></s></s> a</s></s> b</s>",
        "<s> a</s></s> b</s></s> c</s>",
        "<s> a b</s></s> c</s></s> d</s>",
        "<s> b c</s></s> d</s></s> e</s>",
        "<s> c d</s></s> e</s></s></s>",
    ]


def test_without_context_there_is_only_the_utterance(roberta) -> None:
    assert shown(roberta, past_utterances=0, future_utterances=0)[1] == "<s> b</s>"
    assert shown(roberta, past_utterances=1, future_utterances=0)[1] == "<s> a</s></s> b</s>"


def test_berts_tokenizer_gives_its_own_separators() -> None:
    vocabulary = {token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *TEXTS])}
    tokenizer = BertTokenizer(vocab=vocabulary)
    assert shown(tokenizer, past_utterances=1, future_utterances=1)[1] == "[CLS] a [SEP] b [SEP] c [SEP]"


@pytest.mark.parametrize(("names", "text"), [("upper", " ROSS: b"), ("as_is", " Ross: b"), ("none", " b")])
def test_the_speakers_name_is_written_as_asked(roberta, names: str, text: str) -> None:
    window = shown(roberta, speaker="Ross", speaker_names=names, past_utterances=0, future_utterances=0)[1]
    assert window == f"<s>{text}</s>"


def test_a_corpus_without_speakers_has_no_prefix(roberta) -> None:
    assert shown(roberta, past_utterances=0, future_utterances=0, speaker_names="upper")[0] == "<s> a</s>"


def test_the_farthest_utterances_are_dropped_first_and_evenly(roberta) -> None:
    # 6 special tokens, and 2 tokens for each of 1 + 2 + 2 utterances of the nine.
    texts = list("abcdefghi")
    window = shown(roberta, texts, max_tokens=16, past_utterances=9, future_utterances=9)[4]
    assert window == "<s> c d</s></s> e</s></s> f g</s>"
    # An odd place goes to the past; the end of the dialogue leaves its places to the other side.
    assert (
        shown(roberta, texts, max_tokens=18, past_utterances=9, future_utterances=9)[4]
        == "<s> b c d</s></s> e</s></s> f g</s>"
    )
    assert (
        shown(roberta, texts, max_tokens=16, past_utterances=9, future_utterances=9)[8]
        == "<s> e f g h</s></s> i</s></s></s>"
    )


def test_the_current_utterance_is_kept_whole_or_cut_at_the_models_limit(roberta) -> None:
    window = build_windows(dialogue(["a", "x" * 100, "c"]), roberta, WindowParams(max_tokens=32))[1]
    assert len(window.token_ids) == 32
    assert (window.past, window.future, window.cut) == (0, 0, True)
    whole = build_windows(dialogue(["a", "x" * 20, "c"]), roberta, WindowParams(max_tokens=32))[1]
    assert (whole.past, whole.future, whole.cut) == (1, 1, False)
