"""Text with context -> one vector per utterance, by the encoder that ``finetune`` left [3.3.1].

Writes text.h5: features float32 [N, D], D being the encoder's width (768 for RoBERTa base), and what
did not fit into the windows: cut bool [N], context_dropped int32 [N] (utterances).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

from pipeline import runtime
from pipeline.encoders.pretrained import HEADS, load_pretrained, prepare_torch
from pipeline.encoders.weights import ORIGIN, find_model
from pipeline.encoders.windows import Window, build_windows
from pipeline.errors import UserError
from pipeline.manifest import Utterance, by_dialogue, read_utterances
from pipeline.params import WindowParams, read_params
from pipeline.store.h5 import Arrays
from pipeline.store.spool import Spool
from pipeline.work.stagefile import ExtractionStage, no_vectors, run_extraction, write_unused

# Larger batches gain nothing on a CPU and little on a GPU, and bound the memory that a dialogue needs.
BATCH_TOKENS = 8192


def main(corpus: str) -> None:
    """Write ``data/<corpus>/text.h5``."""
    params = read_params().corpus(corpus)
    if "text" not in params.modalities:
        return write_unused("text", corpus)
    folder = Path("data", corpus)
    utterances = read_utterances(folder / "utterances.csv")
    encoder = (folder / "text_encoder").absolute()
    origin = json.loads((encoder / ORIGIN).read_text(encoding="utf-8"))["encoder"]
    print(f"text: {origin}", flush=True)
    no_losses = {"cut": np.empty(0, bool), "context_dropped": np.empty(0, np.int32)}
    stage = ExtractionStage(
        name="text",
        modality="text",
        function=partial(embed_dialogue, encoder=encoder, window=params.window, pooling=params.text.pooling),
        inputs=lambda dialogue, turns: [[turn.speaker, turn.text] for turn in turns],
        settings={
            "params": params.text.model_dump(mode="json"),
            "window": params.window.model_dump(mode="json"),
            "weights": find_model("text encoder", str(encoder)).digest,
        },
        libraries=("torch", "transformers", "tokenizers"),
        empty=no_vectors(AutoConfig.from_pretrained(encoder).hidden_size) | no_losses,
        about={"encoder": origin},
        workers=runtime.model_workers(),
        per_utterance=("features", *no_losses),
        figures=count_losses,
    )
    ids = [row.id for row in utterances]
    run_extraction(corpus, stage, by_dialogue(utterances), ids, params.max_unobserved.text)


def count_losses(arrays: Mapping[str, np.ndarray | Spool]) -> dict[str, int]:
    """How many windows hold less than they should."""
    return {
        "windows with the utterance itself cut": int(np.asarray(arrays["cut"]).sum()),
        "windows without all of their context": int((np.asarray(arrays["context_dropped"]) > 0).sum()),
    }


def embed_dialogue(
    dialogue: Sequence[Utterance], encoder: Path, window: WindowParams, pooling: str
) -> Arrays:
    """Features, reasons, and what did not fit, of all utterances of a dialogue.

    UserError if the encoder gives numbers that are not finite.
    """
    tokenizer, network = _load_encoder(encoder)
    windows = build_windows(dialogue, tokenizer, window)
    features = np.empty((len(windows), network.config.hidden_size), np.float32)
    for rows in _batches(windows):
        features[rows] = _embed([windows[row].token_ids for row in rows], tokenizer, network, pooling)
    if not np.isfinite(features).all():
        raise UserError(f"text encoder: {encoder} gives numbers that are not finite; are its weights sound?")
    reasons = np.array(["" if turn.text.strip() else "no text" for turn in dialogue])
    return {
        "features": features * (reasons == "")[:, None].astype(np.float32),
        "reason": reasons,
        "cut": np.array([built.cut for built in windows]),
        "context_dropped": np.array([built.dropped for built in windows], np.int32),
    }


def _batches(windows: Sequence[Window]) -> Iterator[list[int]]:
    """Indices of windows of similar length, at most ``BATCH_TOKENS`` together with their padding."""
    longest_first = sorted(range(len(windows)), key=lambda row: -len(windows[row].token_ids))
    while longest_first:
        count = max(1, BATCH_TOKENS // len(windows[longest_first[0]].token_ids))
        yield longest_first[:count]
        longest_first = longest_first[count:]


def _embed(
    token_ids: list[list[int]], tokenizer: Tokenizer, network: PreTrainedModel, pooling: str
) -> np.ndarray:
    """One vector per window: float32 [B, D]; the padding takes no part in it."""
    batch = tokenizer.pad({"input_ids": token_ids}, padding_side="right", return_tensors="pt")
    batch = batch.to(network.device)
    with torch.inference_mode():
        hidden = network(**batch).last_hidden_state.float()
    if pooling == "first":
        return hidden[:, 0].cpu().numpy()
    mask = batch["attention_mask"].unsqueeze(-1)
    return ((hidden * mask).sum(dim=1) / mask.sum(dim=1)).cpu().numpy()


@cache
def _load_encoder(folder: Path) -> tuple[Tokenizer, PreTrainedModel]:
    """One tokenizer and network per process."""
    prepare_torch()
    # An encoder that was taken as it is may have no head.
    network = load_pretrained(AutoModelForSequenceClassification, folder, "text encoder", optional=HEADS)
    return AutoTokenizer.from_pretrained(folder), network.base_model.eval().to(runtime.device())
