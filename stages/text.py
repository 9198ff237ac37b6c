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
from transformers.utils import logging as transformers_logging

from pipeline import runtime
from pipeline.extraction import Item, extract, stack, summarise
from pipeline.fingerprint import code_digest, library_versions, work_key
from pipeline.h5 import Arrays
from pipeline.manifest import Utterance, by_dialogue, read_utterances
from pipeline.params import CorpusParams, read_params
from pipeline.stagefile import no_vectors, write_stage_file, write_unused
from pipeline.weights import ORIGIN, find_model
from pipeline.windows import build_windows


def main(corpus: str) -> None:
    """Write ``data/<corpus>/text.h5``."""
    params = read_params().corpus(corpus)
    folder = Path("data", corpus)
    if "text" not in params.modalities:
        return write_unused("text", corpus)
    utterances = read_utterances(folder / "utterances.csv")
    encoder = folder / "text_encoder"
    origin = json.loads((encoder / ORIGIN).read_text(encoding="utf-8"))["encoder"]
    print(f"text: {origin}", flush=True)
    weights = find_model("text encoder", str(encoder)).digest
    dimension = AutoConfig.from_pretrained(encoder).hidden_size
    versions = library_versions("torch", "transformers", "tokenizers")
    items = [
        Item(
            key=work_key(
                "text",
                code=code_digest(__name__),
                versions=versions,
                params=params.text.model_dump(mode="json"),
                window=params.window.model_dump(mode="json"),
                weights=weights,
                turns=[[turn.speaker, turn.text] for turn in dialogue],
            ),
            dialogue=name,
            utterances=len(dialogue),
            work=dialogue,
        )
        for name, dialogue in by_dialogue(utterances).items()
    ]
    embed = partial(embed_dialogue, encoder=encoder, params=params)
    arrays = stack(extract("text", items, embed, workers=runtime.model_workers()), no_vectors(dimension))
    summarise("text", "text", arrays["reason"], params.max_unobserved.text)
    provenance = {"encoder": origin, "weights": weights, "versions": versions}
    write_stage_file(folder / "text.h5", [row.id for row in utterances], items, arrays, provenance)


def embed_dialogue(dialogue: Sequence[Utterance], encoder: Path, params: CorpusParams) -> Arrays:
    """Features and reasons of all utterances of a dialogue, encoded as one padded batch."""
    tokenizer, network = _load_encoder(encoder)
    windows = build_windows(dialogue, tokenizer, params.window)
    batch = tokenizer.pad({"input_ids": [window.token_ids for window in windows]}, return_tensors="pt")
    batch = batch.to(network.device)
    with torch.inference_mode():
        hidden = network(**batch).last_hidden_state.float()
    if params.text.pooling == "first":
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
    torch.set_num_threads(1)
    transformers_logging.disable_progress_bar()
    network = AutoModelForSequenceClassification.from_pretrained(folder).base_model
    return AutoTokenizer.from_pretrained(folder), network.eval().to(runtime.device())
