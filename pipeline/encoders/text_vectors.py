"""Text with its context to one vector per utterance, by an encoder in a folder of transformers [3.3.1]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

from pipeline import runtime
from pipeline.encoders.encoder import require_finite
from pipeline.encoders.layers import check_layers, hidden_states
from pipeline.encoders.pretrained import HEADS, load_pretrained, prepare_torch, read_tokenizer
from pipeline.encoders.windows import Window, build_windows
from pipeline.manifest import Utterance
from pipeline.params import LAST, WindowParams
from pipeline.store.h5 import Arrays

# Larger batches gain nothing on a CPU and little on a GPU, and bound the memory that a dialogue needs.
BATCH_TOKENS = 8192


def embed_dialogue(
    dialogue: Sequence[Utterance],
    encoder: Path,
    window: WindowParams,
    pooling: str,
    layers: Any = LAST,
    digest: tuple[tuple[str, str], ...] = (),
) -> Arrays:
    """Features, reasons, and what did not fit, of all utterances of a dialogue.

    ``digest``: name and SHA-256 of the encoder's files, by which a process that has met others in the same
    folder tells them apart.  UserError, naming the utterance, if a vector holds numbers that are not finite.
    """
    tokenizer, network = _load_encoder(encoder, digest)
    check_layers("text.layers", layers, network)
    windows = build_windows(dialogue, tokenizer, window)
    features = np.empty((len(windows), network.config.hidden_size), np.float32)
    for rows in _batches(windows):
        batch = [windows[row].token_ids for row in rows]
        features[rows] = _embed(batch, tokenizer, network, pooling, layers)
    for turn, vector in zip(dialogue, features, strict=True):
        require_finite(vector, turn.id, f"text encoder {encoder}")
    reasons = np.array(["" if turn.text.strip() else "no text" for turn in dialogue])
    return {
        "features": features * (reasons == "")[:, None].astype(np.float32),
        "reason": reasons,
        "cut": np.array([built.cut for built in windows]),
        "context_dropped": np.array([built.dropped for built in windows], np.int32),
        "device": np.array([runtime.device_name()]),
    }


def _batches(windows: Sequence[Window]) -> Iterator[list[int]]:
    """Indices of windows of similar length, at most ``BATCH_TOKENS`` together with their padding."""
    longest_first = sorted(range(len(windows)), key=lambda row: -len(windows[row].token_ids))
    while longest_first:
        count = max(1, BATCH_TOKENS // len(windows[longest_first[0]].token_ids))
        yield longest_first[:count]
        longest_first = longest_first[count:]


def _embed(
    token_ids: list[list[int]], tokenizer: Tokenizer, network: PreTrainedModel, pooling: str, layers: Any
) -> np.ndarray:
    """One vector per window: float32 [B, D]; the padding takes no part in it."""
    batch = tokenizer.pad({"input_ids": token_ids}, padding_side="right", return_tensors="pt")
    batch = batch.to(network.device)
    with torch.inference_mode():
        hidden = hidden_states(network, layers, **batch).float()
    if pooling == "first":
        return hidden[:, 0].cpu().numpy()
    mask = batch["attention_mask"].unsqueeze(-1)
    return ((hidden * mask).sum(dim=1) / mask.sum(dim=1)).cpu().numpy()


@lru_cache(maxsize=1)
def _load_encoder(folder: Path, digest: tuple[tuple[str, str], ...]) -> tuple[Tokenizer, PreTrainedModel]:
    """One tokenizer and network per process; another digest is another network."""
    prepare_torch()
    # An encoder that was taken as it is may have no head.
    network = load_pretrained(AutoModelForSequenceClassification, folder, "text encoder", optional=HEADS)
    return read_tokenizer(folder, "text encoder"), network.base_model.eval().to(runtime.device())
