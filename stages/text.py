"""Text with context -> one vector per utterance, by the encoder that ``finetune`` left [3.3.1].

Writes text.h5: features float32 [N, D], D being the encoder's width (768 for RoBERTa base).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

from pipeline import runtime
from pipeline.h5 import Arrays
from pipeline.manifest import Utterance, by_dialogue, read_utterances
from pipeline.networks import load_pretrained, prepare_torch
from pipeline.params import WindowParams, read_params
from pipeline.stagefile import ExtractionStage, no_vectors, run_extraction, write_unused
from pipeline.weights import ORIGIN, find_model
from pipeline.windows import build_windows


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
        empty=no_vectors(AutoConfig.from_pretrained(encoder).hidden_size),
        about={"encoder": origin},
        workers=runtime.model_workers(),
    )
    ids = [row.id for row in utterances]
    run_extraction(corpus, stage, by_dialogue(utterances), ids, params.max_unobserved.text)


def embed_dialogue(
    dialogue: Sequence[Utterance], encoder: Path, window: WindowParams, pooling: str
) -> Arrays:
    """Features and reasons of all utterances of a dialogue, encoded as one padded batch."""
    tokenizer, network = _load_encoder(encoder)
    windows = build_windows(dialogue, tokenizer, window)
    batch = tokenizer.pad({"input_ids": [built.token_ids for built in windows]}, return_tensors="pt")
    batch = batch.to(network.device)
    with torch.inference_mode():
        hidden = network(**batch).last_hidden_state.float()
    if pooling == "first":
        features = hidden[:, 0]
    else:
        mask = batch["attention_mask"].unsqueeze(-1)
        features = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
    reasons = np.array(["" if turn.text.strip() else "no text" for turn in dialogue])
    observed = (reasons == "")[:, None]
    return {"features": features.cpu().numpy() * observed.astype(np.float32), "reason": reasons}


@cache
def _load_encoder(folder: Path) -> tuple[Tokenizer, PreTrainedModel]:
    """One tokenizer and network per process."""
    prepare_torch()
    network = load_pretrained(AutoModelForSequenceClassification, folder, "text encoder").base_model
    return AutoTokenizer.from_pretrained(folder), network.eval().to(runtime.device())
