"""A dialogue that is difficult to read, and small untrained encoders to read it with."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from pipeline.encoders.text.transformers import Encoder, Params, UntrainedTextEncoder, find_encoder
from pipeline.encoders.weights import find_local
from pipeline.manifest import Utterance
from pipeline.params import WindowParams

KEY = "corpora.demo.text.encoder"
LABELS = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
LINES = ("I am so happy!", "", "😀😀", "שלום", "bad\x07 bell\x00", "word " * 10_000, "\u202e\ufeff", "Why?")
WINDOW = WindowParams(past_utterances=2, future_utterances=2, max_tokens=128)
SIZE = UntrainedTextEncoder(hidden_size=32, layers=2, heads=4, vocabulary=1000)


def dialogue(lines: tuple[str, ...] = LINES) -> list[Utterance]:
    return [
        Utterance(f"train_dia0_utt{i}", "train", "train_dia0", i, "ABC"[i % 3], ("joy", "anger")[i % 2], line)
        for i, line in enumerate(lines)
    ]


def save_untrained(folder: Path) -> Path:
    """An untrained RoBERTa of width 32 with its head, as a folder."""
    encoder = find_encoder(KEY, Params(weights="untrained", untrained=SIZE), None)
    tokenizer, network = encoder.load(dialogue(), LABELS, WINDOW, seed=0)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_in_half_precision(folder: Path, target: Path, dtype: torch.dtype) -> tuple[Path, Path]:
    """A copy of an encoder in half precision, and one of the same numbers in float32."""
    half, single = target / "half", target / "single"
    network = AutoModelForSequenceClassification.from_pretrained(folder).to(dtype)
    network.save_pretrained(half)
    network.float().save_pretrained(single)
    for copy in (half, single):
        AutoTokenizer.from_pretrained(folder).save_pretrained(copy)
    return half, single


def encoder_in(folder: Path) -> Encoder:
    return find_encoder(KEY, Params(weights=str(folder)), find_local(KEY, str(folder)))
