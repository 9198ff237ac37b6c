"""Text with context -> one vector per utterance, by the encoder that ``finetune`` left [3.3.1].

Writes text.h5: features float32 [N, D], D being the encoder's width (768 for RoBERTa base), and what
did not fit into the windows: cut bool [N], context_dropped int32 [N] (utterances).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from transformers import AutoConfig

from pipeline import runtime
from pipeline.encoders.text_vectors import embed_dialogue
from pipeline.encoders.weights import ORIGIN, find_local
from pipeline.errors import reading_output
from pipeline.manifest import by_dialogue, read_utterances
from pipeline.params import read_params
from pipeline.store.spool import Spool
from pipeline.work.stagefile import ExtractionStage, no_vectors, run_extraction, write_unused


def main(corpus: str) -> None:
    """Write ``data/<corpus>/text.h5``."""
    params = read_params().corpus(corpus)
    if "text" not in params.modalities:
        return write_unused("text", corpus)
    folder = Path("data", corpus)
    utterances = read_utterances(folder / "utterances.csv")
    encoder = (folder / "text_encoder").absolute()
    with reading_output(encoder / ORIGIN):
        origin = json.loads((encoder / ORIGIN).read_text(encoding="utf-8"))["encoder"]
    print(f"text: {origin}", flush=True)
    weights = find_local("text encoder", str(encoder)).digest
    no_losses = {"cut": np.empty(0, bool), "context_dropped": np.empty(0, np.int32)}
    stage = ExtractionStage(
        name="text",
        modality="text",
        function=partial(
            embed_dialogue,
            encoder=encoder,
            window=params.window,
            pooling=params.text.pooling,
            layers=params.text.layers,
            digest=tuple(weights.items()),
        ),
        inputs=lambda dialogue, turns: [[turn.speaker, turn.text] for turn in turns],
        settings={
            "params": params.text.model_dump(mode="json", exclude={"encoder"}),
            "window": params.window.model_dump(mode="json"),
            "weights": weights,
        },
        libraries=("torch", "transformers", "tokenizers"),
        empty=no_vectors(AutoConfig.from_pretrained(encoder).hidden_size)
        | no_losses
        | {"device": np.empty(0, str)},
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
