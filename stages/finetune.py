"""Fine-tune the text encoder to tell emotions apart, on the training split [3.3.1].

Writes text_encoder/, a normal transformers folder (safetensors, config, tokenizer) that anyone can
load, its origin in origin.json; and its learning curve, plots/finetune.csv and finetune_loss.csv.

The encoder is kept in the item store, so that no params are trained on twice.  A training that is
stopped goes on after its last whole epoch.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from pipeline import runtime
from pipeline.encoders import finetuning
from pipeline.encoders.finetuning import Epoch, labelled_windows
from pipeline.encoders.text import TextEncoder
from pipeline.encoders.weights import ORIGIN, find_encoder, model_files
from pipeline.errors import UserError
from pipeline.manifest import Utterance, by_dialogue, read_labels, read_utterances
from pipeline.params import CorpusParams, read_params
from pipeline.store.atomic import replace_folder, write_csv
from pipeline.store.code import result_digest
from pipeline.store.h5 import Arrays
from pipeline.store.housekeeping import ITEM_KEYS
from pipeline.store.items import ItemStore
from pipeline.store.keys import library_versions, work_key
from pipeline.store.locks import only_run
from pipeline.work import torchrun

KINDS = "pipeline.encoders.text"
SPLITS = ("train", "dev")
CURVE = "curve"
LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate")


@dataclass(frozen=True)
class Task:
    """An encoder, and what it is to be trained on."""

    corpus: str
    params: CorpusParams
    encoder: TextEncoder
    utterances: Sequence[Utterance]
    labels: Sequence[str]

    def load(self, labels: Sequence[str]) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
        """Tokenizer, and network with a head for ``labels``."""
        return self.encoder.load(self.utterances, labels, self.params.window, self.params.finetune.seed)


def main(corpus: str) -> None:
    """Write ``data/<corpus>/text_encoder/`` and its curves in ``data/<corpus>/plots/``."""
    params = read_params().corpus(corpus)
    folder = Path("data", corpus)
    with replace_folder(folder / "text_encoder") as built:
        curve: list[Epoch] = []
        origin: dict[str, Any] = {"encoder": f"none: corpora.{corpus}.modalities leaves text out"}
        if "text" in params.modalities:
            task = Task(
                corpus=corpus,
                params=params,
                encoder=find_encoder(KINDS, corpus, params, "text"),
                utterances=read_utterances(folder / "utterances.csv"),
                labels=read_labels(folder / "labels.json"),
            )
            curve, origin = make_encoder(task, built)
        (built / ORIGIN).write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")
    _write_curves(folder / "plots", curve)
    print(f"finetune: {origin['encoder']}")


def make_encoder(task: Task, built: Path) -> tuple[list[Epoch], dict[str, Any]]:
    """Save the encoder in ``built``; its learning curve, and its origin: in plain words and as a key."""
    logging.disable_progress_bar()  # transformers has one for every file it reads or writes
    print(f"finetune: {task.encoder.description}", flush=True)
    if not task.params.finetune.epochs:
        return [], {"encoder": _take_as_it_is(task, built)}
    key = _key(task)
    store = ItemStore(runtime.store_root(), "finetune")
    stored = store.get(key)
    if stored is None:
        stored = _finetune(task, store, key)
    else:
        print("finetune: nothing to do, the item store holds this encoder", flush=True)
    for name in stored.keys() - {CURVE}:
        (built / name).write_bytes(stored[name].tobytes())
    curve = [Epoch(int(epoch), *figures) for epoch, *figures in stored[CURVE].tolist()]
    return curve, {
        "encoder": f"{task.encoder.description}, fine-tuned on the training split",
        ITEM_KEYS: [key],
    }


def _take_as_it_is(task: Task, built: Path) -> str:
    """Put an encoder that is not to be trained into ``built``; its origin in plain words.

    A model's files are copied byte by byte, so that their digests tell that features of another
    corpus are of the same encoder, as predictions by a trained model need to know.
    """
    # Loaded even where it is copied, to find what does not fit.  A head must have a class, and a corpus
    # to predict on may have no labels.
    tokenizer, network = task.load(task.labels or ("unlabelled",))
    origin, folder = task.encoder.description, task.encoder.path
    if folder is None:
        network.save_pretrained(built)
        tokenizer.save_pretrained(built)
        return f"{origin}, not fine-tuned"
    for path in model_files(folder):
        shutil.copyfile(path, built / path.name)
    if (folder / ORIGIN).is_file():  # it was made here, and is called what it was called there
        words: str = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))["encoder"]
        return words
    return f"{origin}, not fine-tuned"


def _key(task: Task) -> str:
    """Changes with whatever the weights depend on; so also with device, threads and processes."""
    processes = runtime.finetune_processes()
    return work_key(
        "finetune",
        code=result_digest("pipeline.encoders.finetuning", type(task.encoder).__module__),
        versions=library_versions(*LIBRARIES),
        settings=task.encoder.settings,
        params=task.params.finetune.model_dump(mode="json"),
        window=task.params.window.model_dump(mode="json"),
        labels=list(task.labels),
        rows=[
            [row.split, row.dialogue, row.speaker, row.label, row.text]
            for row in task.utterances
            if row.split in SPLITS
        ],
        device=[torchrun.device_and_threads(processes), processes],
    )


def _finetune(task: Task, store: ItemStore, key: str) -> Arrays:
    """Train, or go on with a training that was stopped, and keep the result in the item store."""
    params = task.params.finetune
    processes = runtime.finetune_processes()
    if params.batch_utterances % processes:
        raise UserError(
            f"MULTIEMO_FINETUNE_PROCESSES={processes} does not divide"
            f" corpora.{task.corpus}.finetune.batch_utterances: {params.batch_utterances}"
        )
    folder = runtime.checkpoint_root() / key
    with only_run(folder) as lock:
        stored = store.get(key)  # the run that had the folder before may have finished it
        if stored is None:
            if not (folder / "best").is_dir():
                tokenizer, network = task.load(task.labels)
                rows = {split: _windows_of_split(task, split, tokenizer) for split in SPLITS}
                finetuning.prepare(folder, tokenizer, network, rows, params)
                if torchrun.needs_processes(processes):
                    torchrun.run_module("pipeline.encoders.finetuning", [str(folder)], processes, lock)
                else:
                    finetuning.train(folder)
            stored = _pack(folder)
            store.put(key, stored)
        shutil.rmtree(folder, ignore_errors=True)  # gone already, if that run has finished
    return stored


def _windows_of_split(task: Task, split: str, tokenizer: PreTrainedTokenizerBase) -> list[finetuning.Row]:
    dialogues = by_dialogue(row for row in task.utterances if row.split == split).values()
    return labelled_windows(split, dialogues, tokenizer, task.params.window, task.labels)


def _pack(folder: Path) -> Arrays:
    """A finished encoder as an item: the bytes of its files, and its learning curve."""
    files = {path.name: np.fromfile(path, np.uint8) for path in sorted((folder / "best").iterdir())}
    return {**files, CURVE: np.array([astuple(epoch) for epoch in finetuning.read_curve(folder)])}


def _write_curves(folder: Path, curve: Sequence[Epoch]) -> None:
    """finetune.csv, a row per epoch; finetune_loss.csv, a row per epoch and split, as DVC plots lines."""
    write_csv(folder / "finetune.csv", [field.name for field in fields(Epoch)], map(astuple, curve))
    losses = [
        (row.epoch, split, loss)
        for row in curve
        for split, loss in (("train", row.train_loss), ("dev", row.dev_loss))
    ]
    write_csv(folder / "finetune_loss.csv", ("epoch", "split", "loss"), losses)
