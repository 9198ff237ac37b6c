"""An encoder of RoBERTa base's shape and random weights on windows of the paper's length."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification

from benchmarks.gpu.figures import Figures
from benchmarks.text import save_encoder
from pipeline.encoders import finetuning
from pipeline.encoders.text_vectors import embed_dialogue
from pipeline.manifest import Utterance
from pipeline.params import FinetuneParams, WindowParams
from pipeline.runtime import device

LABELS = ("neutral", "joy")  # as many as the head that an encoder is saved with
UTTERANCES_PER_DIALOGUE = 12
WORDS_PER_UTTERANCE = 10
WINDOW = WindowParams()


def main(figures: Figures, rehearse: bool) -> None:
    dialogues = make_dialogues(1 if rehearse else 40, WORDS_PER_UTTERANCE)
    with tempfile.TemporaryDirectory() as temporary:
        encoder = Path(temporary, "encoder")
        encoder.mkdir()
        turns = [turn for dialogue in dialogues for turn in dialogue]
        tokenizer = save_encoder(encoder, turns, layers=1 if rehearse else 12)
        embed_dialogue(dialogues[0][:1], encoder, WINDOW, "first")
        forget_peak()
        start = time.perf_counter()
        for dialogue in dialogues:
            embed_dialogue(dialogue, encoder, WINDOW, "first")
        taken_s = time.perf_counter() - start
        count = sum(map(len, dialogues))
        figures.add("text, float32", count / taken_s, "windows/s", f"one worker{peak()}")
        for precision in ("bfloat16", "float32"):
            folder = Path(temporary, precision)
            few = dialogues[: 1 if rehearse else 20]
            few = [dialogue[: 2 if rehearse else None] for dialogue in few]
            windows = finetuning.labelled_windows("train", few, tokenizer, WINDOW, LABELS)
            params = FinetuneParams(epochs=1, precision=precision)
            network = AutoModelForSequenceClassification.from_pretrained(encoder)
            folder.mkdir()
            finetuning.prepare(folder, tokenizer, network, {"train": windows, "dev": windows[:8]}, params)
            forget_peak()
            start = time.perf_counter()
            finetuning.train(folder)
            taken_s = time.perf_counter() - start
            note = f"an epoch with its checkpoint, batches of {params.batch_utterances}{peak()}"
            figures.add(f"finetune, {precision}", len(windows) / taken_s, "windows/s", note)


def make_dialogues(count: int, words: int) -> list[list[Utterance]]:
    """Two people's words drawn from a list, with labels in turn."""
    random = np.random.default_rng(0)
    vocabulary = [f"word{number}" for number in range(2000)]
    return [
        [
            Utterance(
                id=f"dia{dialogue}_utt{turn}", split="train", dialogue=f"dia{dialogue}", position=turn,
                speaker=f"speaker{turn % 2}", label=LABELS[turn % len(LABELS)],
                text=" ".join(random.choice(vocabulary, words)),
            )
            for turn in range(UTTERANCES_PER_DIALOGUE)
        ]
        for dialogue in range(count)
    ]  # fmt: skip


def forget_peak() -> None:
    if device() != "cpu":
        torch.cuda.reset_peak_memory_stats()


def peak() -> str:
    """Most memory of the GPU since then, in words."""
    return "" if device() == "cpu" else f"; {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB of the GPU"
