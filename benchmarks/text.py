"""How fast the stage text embeds MELD's windows, against a loop over single windows without padding.

    python -m benchmarks.text <folder with MELD's *_sent_emo.csv> [dialogues]

The encoder has RoBERTa base's shape and random weights.  Both ways get the same windows in turn, and
the figures are medians over the rounds.  The loop has all cores for each window; the stage has a process
for each core.  The last figure says what a faster way of feeding the encoder could gain at most: how the
stage's rate of arithmetic compares with that of one large matrix product.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from transformers import RobertaConfig, RobertaForSequenceClassification
from transformers.utils import logging

from benchmarks.training import utterances_of_meld
from pipeline.encoders.text.transformers import Params, UntrainedTextEncoder, find_encoder
from pipeline.encoders.text_vectors import embed_dialogue
from pipeline.encoders.windows import build_windows
from pipeline.manifest import Utterance, by_dialogue
from pipeline.params import WindowParams
from pipeline.runtime import workers

ROUNDS = 3
WINDOW = WindowParams()  # the paper's: 12 utterances on either side, 512 tokens


def main(root: Path, count: int) -> None:
    utterances = utterances_of_meld(root)
    dialogues = list(by_dialogue(utterances).values())
    chosen = [dialogues[index] for index in np.linspace(0, len(dialogues) - 1, count).astype(int)]
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as temporary:
        encoder = Path(temporary)
        tokenizer = save_encoder(encoder, utterances)
        windows = [w.token_ids for d in chosen for w in build_windows(d, tokenizer, WINDOW)]
        tokens = sum(map(len, windows))
        print(f"{len(windows)} windows of {count} dialogues, {tokens / len(windows):.0f} tokens on average")
        network = RobertaForSequenceClassification.from_pretrained(encoder).base_model.eval()
        arithmetic = 2 * tokens * sum(w.numel() for n, w in network.named_parameters() if "encoder." in n)
        loop_s, stage_s, product = [], [], []
        with joblib.Parallel(workers()) as pool:
            work = [joblib.delayed(embed_dialogue)(d, encoder, WINDOW, "first") for d in longest(chosen)]
            pool(work[-1:] * 2 * workers())  # the workers start and load the network
            for _ in range(ROUNDS):
                torch.set_num_threads(workers())
                loop_s.append(seconds(lambda: [embed_alone(ids, network) for ids in windows]))
                stage_s.append(seconds(lambda: pool(work)))
                product.append(multiplications_per_s())
    rates = [arithmetic / s / p for s, p in zip(stage_s, product, strict=True)]
    ratio = statistics.median(a / b for a, b in zip(loop_s, stage_s, strict=True))
    print(f"loop  {len(windows) / statistics.median(loop_s):6.2f} windows/s")
    print(f"stage {len(windows) / statistics.median(stage_s):6.2f} windows/s: {ratio:.2f} times as fast")
    print(f"the stage computes at {statistics.median(rates):.0%} of the rate of a large matrix product")


def save_encoder(folder: Path, utterances: list[Utterance], layers: int = 12) -> Any:
    """RoBERTa base's shape, or fewer layers, with a vocabulary of the corpus; its tokenizer."""
    untrained = Params(weights="untrained", untrained=UntrainedTextEncoder(vocabulary=8000))
    tokenizer, _ = find_encoder("text.encoder", untrained, None).load(utterances, ["neutral"], WINDOW, seed=0)
    config = RobertaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=514, type_vocab_size=1, num_hidden_layers=layers
    )
    RobertaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tokenizer


def longest(dialogues: list[list[Utterance]]) -> list[list[Utterance]]:
    """In the order in which a stage does them."""
    return sorted(dialogues, key=len, reverse=True)


@torch.inference_mode()
def embed_alone(token_ids: list[int], network: torch.nn.Module) -> torch.Tensor:
    return network(input_ids=torch.tensor([token_ids])).last_hidden_state[0, 0]


def multiplications_per_s() -> float:
    """Floating-point operations per second of a product of two large matrices on all cores."""
    left, right = torch.randn(2048, 768), torch.randn(768, 3072)
    torch.set_num_threads(workers())
    taken_s = seconds(lambda: [left @ right for _ in range(20)])
    return 20 * 2 * 2048 * 768 * 3072 / taken_s


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 6)
