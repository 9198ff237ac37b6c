"""Fine-tune the text encoder to tell emotions apart, on the training split [3.3.1].

Writes text_encoder/, a normal transformers folder (safetensors, config, tokenizer) that anyone can
load, its origin in origin.json; and plots/finetune.csv, its learning curve.
"""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import f1_score
from tokenizers import ByteLevelBPETokenizer
from torch.utils.data import Dataset
from tqdm import tqdm
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    RobertaConfig,
    RobertaForSequenceClassification,
    RobertaTokenizer,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging as transformers_logging

from pipeline import runtime
from pipeline.errors import UserError
from pipeline.manifest import Utterance, by_dialogue, read_labels, read_utterances
from pipeline.networks import load_pretrained
from pipeline.params import UNTRAINED, CorpusParams, FinetuneParams, WindowParams, read_params
from pipeline.weights import ORIGIN, find_model
from pipeline.windows import build_windows, turn_text

CURVE_COLUMNS = ("epoch", "train_loss", "dev_loss", "dev_weighted_f1")


def main(corpus: str) -> None:
    """Write ``data/<corpus>/text_encoder/`` and ``data/<corpus>/plots/finetune.csv``."""
    params = read_params().corpus(corpus)
    folder = Path("data", corpus)
    curve: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        built = Path(temporary, "text_encoder")
        built.mkdir()
        if "text" in params.modalities:
            utterances, labels = (
                read_utterances(folder / "utterances.csv"),
                read_labels(folder / "labels.json"),
            )
            curve, origin = make_encoder(corpus, params, utterances, labels, built)
        else:
            origin = f"none: corpora.{corpus}.modalities leaves text out"
        (built / ORIGIN).write_text(json.dumps({"encoder": origin}, indent=2) + "\n", encoding="utf-8")
        built.chmod(0o755)
        shutil.rmtree(folder / "text_encoder", ignore_errors=True)
        built.replace(folder / "text_encoder")
    _write_curve(folder / "plots" / "finetune.csv", curve)
    print(f"finetune: {origin}")


def make_encoder(
    corpus: str, params: CorpusParams, utterances: Sequence[Utterance], labels: Sequence[str], built: Path
) -> tuple[list[dict[str, float]], str]:
    """Save the encoder in ``built``; its learning curve and origin in plain words."""
    transformers_logging.disable_progress_bar()  # transformers has one for every file it reads or writes
    set_seed(params.finetune.seed)
    tokenizer, model, origin = _load_encoder(corpus, params, utterances, labels)
    print(f"finetune: {origin}", flush=True)
    curve: list[dict[str, float]] = []
    if params.finetune.epochs:
        datasets = {
            split: _windows_of_split(utterances, split, tokenizer, params.window, labels)
            for split in ("train", "dev")
        }
        for split, dataset in datasets.items():
            if not len(dataset):
                raise UserError(
                    f"no labelled utterance in the {split} split, which fine-tuning needs; set epochs: 0"
                )
        curve = _finetune(model, tokenizer, datasets, params.finetune)
        origin += ", fine-tuned on the training split"
    else:
        origin += ", not fine-tuned"
    model.save_pretrained(built)
    tokenizer.save_pretrained(built)
    return curve, origin


def _load_encoder(
    corpus: str, params: CorpusParams, utterances: Sequence[Utterance], labels: Sequence[str]
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel, str]:
    """Tokenizer, network with a classifier head, and where the encoder comes from."""
    names = {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }
    encoder = params.finetune.encoder
    tokenizer: PreTrainedTokenizerBase
    if encoder == UNTRAINED:
        tokenizer = _train_tokenizer(utterances, params)
        model = _untrained_roberta(params, tokenizer, names)
        seed = params.finetune.untrained.seed
        return tokenizer, model, f"UNTRAINED RoBERTa (random weights, seed {seed})"
    key = f"corpora.{corpus}.finetune.encoder"
    found = find_model(key, encoder, params.finetune.revision)
    tokenizer = AutoTokenizer.from_pretrained(found.path)
    model = load_pretrained(
        AutoModelForSequenceClassification,
        found.path,
        key,
        # The classifier is what fine-tuning adds; a pooler is not used.
        optional=("classifier", "score", "pooler"),
        ignore_mismatched_sizes=True,
        **names,
    )
    limit = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    if params.window.max_tokens > limit:
        raise UserError(
            f"corpora.{corpus}.window.max_tokens: {params.window.max_tokens} is more than the {limit} that"
            f" {encoder} reads"
        )
    return tokenizer, model, f"{type(model.base_model).__name__} from {encoder}"


def _train_tokenizer(utterances: Sequence[Utterance], params: CorpusParams) -> RobertaTokenizer:
    """A byte-level BPE, RoBERTa's kind, from the corpus's own training lines."""
    lines = [f" {turn_text(row, params.window.speaker_names)}" for row in utterances if row.split == "train"]
    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator(
        lines, vocab_size=params.finetune.untrained.vocabulary, special_tokens=special, show_progress=False
    )
    learned = json.loads(bpe.to_str())["model"]
    return RobertaTokenizer(
        vocab=learned["vocab"],
        merges=[tuple(pair) for pair in learned["merges"]],  # type: ignore[misc]
        model_max_length=params.window.max_tokens,
    )


def _untrained_roberta(
    params: CorpusParams, tokenizer: PreTrainedTokenizerBase, names: dict[str, Any]
) -> RobertaForSequenceClassification:
    size = params.finetune.untrained
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden_size,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.hidden_size,
        # RoBERTa numbers positions from padding_idx + 1 = 2.
        max_position_embeddings=params.window.max_tokens + 2,
        type_vocab_size=1,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **names,
    )
    set_seed(size.seed)
    return RobertaForSequenceClassification(config)


class _Windows(Dataset):
    """Token ids and label of every labelled utterance of a split."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]


def _windows_of_split(
    utterances: Sequence[Utterance],
    split: str,
    tokenizer: PreTrainedTokenizerBase,
    window: WindowParams,
    labels: Sequence[str],
) -> _Windows:
    rows = []
    for dialogue in by_dialogue(row for row in utterances if row.split == split).values():
        for utterance, built in zip(dialogue, build_windows(dialogue, tokenizer, window), strict=True):
            if utterance.label:
                rows.append({"input_ids": built.token_ids, "label": labels.index(utterance.label)})
    return _Windows(rows)


def _finetune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    datasets: dict[str, _Windows],
    params: FinetuneParams,
) -> list[dict[str, float]]:
    """Train in place, end with the weights of the best epoch by validation, return the curve."""
    with tempfile.TemporaryDirectory() as checkpoints:
        arguments = TrainingArguments(
            output_dir=checkpoints,
            num_train_epochs=params.epochs,
            per_device_train_batch_size=params.batch_utterances,
            per_device_eval_batch_size=2 * params.batch_utterances,
            learning_rate=params.learning_rate,
            weight_decay=params.weight_decay,
            warmup_steps=params.warmup_fraction,
            lr_scheduler_type="linear",
            eval_strategy="epoch",
            save_strategy="epoch",
            logging_strategy="epoch",
            save_total_limit=1,
            load_best_model_at_end=True,
            metric_for_best_model="weighted_f1",
            seed=params.seed,
            use_cpu=runtime.device() == "cpu",
            dataloader_pin_memory=False,
            report_to=[],
            disable_tqdm=True,
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=datasets["train"],
            eval_dataset=datasets["dev"],
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_metrics=_weighted_f1,
            callbacks=[_Progress(len(datasets["train"]) * params.epochs)],
        )
        trainer.remove_callback(PrinterCallback)  # the progress bar says it on one line
        trainer.train()
        return _curve(trainer.state.log_history)


class _Progress(TrainerCallback):
    """A bar over utterances, with the last epoch's weighted F1 on validation."""

    def __init__(self, utterances: int) -> None:
        self.bar = tqdm(total=utterances, desc="finetune", unit=" utterances")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.bar.update(min(args.train_batch_size, self.bar.total - self.bar.n))

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        metrics = kwargs["metrics"]
        self.bar.set_postfix(epoch=round(metrics["epoch"]), dev_f1=f"{metrics['eval_weighted_f1']:.2f}")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.bar.update(self.bar.total - self.bar.n)
        self.bar.close()


def _weighted_f1(prediction: EvalPrediction) -> dict[str, float]:
    chosen = np.argmax(prediction.predictions, axis=-1)
    return {"weighted_f1": 100 * f1_score(prediction.label_ids, chosen, average="weighted", zero_division=0)}


def _curve(history: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """One row per epoch out of the Trainer's log, which has training and validation apart."""
    rows: dict[float, dict[str, float]] = {}
    names = {"loss": "train_loss", "eval_loss": "dev_loss", "eval_weighted_f1": "dev_weighted_f1"}
    for entry in history:
        row = rows.setdefault(entry["epoch"], {"epoch": round(entry["epoch"])})
        row |= {names[key]: round(value, 4) for key, value in entry.items() if key in names}
    return [row for row in rows.values() if row.keys() == set(CURVE_COLUMNS)]


def _write_curve(path: Path, curve: Sequence[dict[str, float]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, CURVE_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(curve)
