from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (
    BertWordPieceTokenizer,
    ByteLevelBPETokenizer,
    SentencePieceUnigramTokenizer,
    Tokenizer,
)
from tokenizers.models import WordLevel
from tokenizers.processors import TemplateProcessing
from transformers import BertTokenizer, PreTrainedTokenizerFast, RobertaTokenizer, XLMRobertaTokenizer

from pipeline.encoders.windows import build_windows, turn_text
from pipeline.errors import UserError
from pipeline.manifest import Utterance
from pipeline.params import WindowParams

TEXTS = ["a", "b", "c", "d", "e"]
LINES = ["Oh my God, it's number 3!", "See you at the end then.", "Don't you dare, JOE: Joe?"] * 5
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def byte_level_bpe() -> RobertaTokenizer:
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(LINES, vocab_size=320, special_tokens=SPECIAL, show_progress=False)
    learned = json.loads(bpe.to_str())["model"]
    return RobertaTokenizer(vocab=learned["vocab"], merges=[tuple(pair) for pair in learned["merges"]])


def word_piece() -> BertTokenizer:
    pieces = BertWordPieceTokenizer()
    pieces.train_from_iterator(LINES, vocab_size=100, show_progress=False)
    return BertTokenizer(vocab=pieces.get_vocab())


def sentence_piece() -> XLMRobertaTokenizer:
    unigram = SentencePieceUnigramTokenizer()
    unigram.train_from_iterator(
        LINES, vocab_size=60, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )
    learned = json.loads(unigram.to_str())["model"]["vocab"]
    return XLMRobertaTokenizer(vocab=[tuple(piece) for piece in learned])


TOKENIZERS = {"bpe": byte_level_bpe(), "wordpiece": word_piece(), "sentencepiece": sentence_piece()}


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
    assert (window.past, window.future, window.dropped, window.cut) == (0, 0, 2, True)
    whole = build_windows(dialogue(["a", "x" * 20, "c"]), roberta, WindowParams(max_tokens=32))[1]
    assert (whole.past, whole.future, whole.dropped, whole.cut) == (1, 1, 0, False)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_window_is_what_the_tokenizer_itself_makes_of_two_texts(kind: str) -> None:
    tokenizer = TOKENIZERS[kind]
    params = WindowParams(past_utterances=1, future_utterances=0, max_tokens=128)
    turns = dialogue(["Oh my God!", "See, it's number 3."], speaker="Joe")
    window = build_windows(turns, tokenizer, params)[1]
    assert window.token_ids == tokenizer(" JOE: Oh my God!", " JOE: See, it's number 3.")["input_ids"]


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("speaker", ["Joe", "A</s>", "[SEP]"])
def test_what_reads_like_a_special_token_is_text_in_a_transcript_and_in_a_name(
    kind: str, speaker: str
) -> None:
    tokenizer = TOKENIZERS[kind]
    params = WindowParams(past_utterances=1, future_utterances=0, max_tokens=128, speaker_names="as_is")
    said = [
        "oh <s> </s> no",
        "<mask> [MASK]what",
        "<unk> [UNK] mumble",
        "<pad><pad> [PAD] quiet",
        "[CLS] [SEP]",
    ]
    separators = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    expected = [id for id in tokenizer("a", "a")["input_ids"] if id in separators]
    for text, window in zip(said, build_windows(dialogue(said, speaker), tokenizer, params), strict=True):
        assert [id for id in window.token_ids if id in separators] == expected
        if kind == "bpe":  # knows all letters
            assert f" {speaker}: {text}</s>" in tokenizer.decode(window.token_ids)
    assert len(window.token_ids) > 15


def test_sentencepiece_reads_the_letters_of_what_reads_like_a_special_token() -> None:
    learned = {piece: index for index, piece in enumerate([*SPECIAL, "▁", *"<>/sunkhi"])}
    tokenizer = XLMRobertaTokenizer(vocab=[(piece, -1.0) for piece in learned])
    params = WindowParams(past_utterances=0, future_utterances=0)
    [window] = build_windows(dialogue(["hi </s> <unk>"]), tokenizer, params)
    pieces = tokenizer.convert_ids_to_tokens(window.token_ids)
    assert "".join(pieces).replace("▁", " ").split() == ["<s>", "hi", "<", "/s>", "<", "unk></s>"]
    assert tokenizer.unk_token not in pieces


@settings(max_examples=40, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_window_holds_the_current_utterance_and_the_nearest_that_fit(
    kind: str, data: st.DataObject
) -> None:
    tokenizer = TOKENIZERS[kind]
    texts = data.draw(st.lists(st.text(max_size=40), min_size=1, max_size=8))
    params = WindowParams(
        past_utterances=data.draw(st.integers(0, 4)),
        future_utterances=data.draw(st.integers(0, 4)),
        max_tokens=data.draw(st.integers(16, 90)),
        speaker_names=data.draw(st.sampled_from(["upper", "as_is", "none"])),
    )
    turns = dialogue(texts, speaker=data.draw(st.sampled_from(["", "Zoë"])))
    lengths = [
        len(tokenizer(f" {turn_text(turn, params.speaker_names)}", add_special_tokens=False)["input_ids"])
        for turn in turns
    ]
    blank = len(tokenizer(" ", add_special_tokens=False)["input_ids"])
    special = len(build_windows(dialogue([""]), tokenizer, params)[0].token_ids) - blank
    for current, window in enumerate(build_windows(turns, tokenizer, params)):
        used = len(window.token_ids) - special
        room = params.max_tokens - special
        context = [*lengths[current - window.past : current]], lengths[current + 1 :][: window.future]
        assert used == min(lengths[current], room) + sum(map(sum, context))
        assert used <= room
        assert window.cut == (lengths[current] > room)
        reach = min(current, params.past_utterances), min(len(turns) - 1 - current, params.future_utterances)
        assert window.dropped == sum(reach) - window.past - window.future
        # A side ends where its reach does, or at an utterance that would not have fitted in any more.
        beyond = (
            lengths[current - window.past - 1] if window.past < reach[0] else None,
            lengths[current + window.future + 1] if window.future < reach[1] else None,
        )
        if beyond[0] is not None:
            assert used - sum(context[1][window.past :]) + beyond[0] > room
        if beyond[1] is not None:
            assert used - sum(context[0][: max(0, window.past - window.future - 1)]) + beyond[1] > room


@pytest.mark.parametrize(
    ("pair", "complaint"),
    [
        ("</s> $A $B </s>", "puts nothing between two texts"),
        ("$A </s> $B </s>", "puts nothing before a text"),  # as T5 and GPT-2's kin
    ],
)
def test_a_tokenizer_that_does_not_frame_texts_is_refused(pair: str, complaint: str) -> None:
    plain = Tokenizer(WordLevel({"a": 0, "?": 1, "</s>": 2}, unk_token="?"))
    plain.post_processor = TemplateProcessing(pair=pair, special_tokens=[("</s>", 2)])
    with pytest.raises(UserError, match=complaint):
        build_windows(dialogue(), PreTrainedTokenizerFast(tokenizer_object=plain), WindowParams())
