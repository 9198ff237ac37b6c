"""Fine-tuning of a text encoder in a folder of its own: by one process or several, and resumable.

    start/            encoder, classifier head and tokenizer to begin with
    task.json         the windows and labels of both splits, and the params
    checkpoint-<n>/   the Trainer's, after each epoch
    curve.json        losses and F1 by epoch        } once it is
    best/             the encoder of the best epoch } finished

torchrun starts ``python -m pipeline.encoders.finetuning <folder>`` in each of several processes.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset, Sampler
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_pt_utils import get_length_grouped_indices
from transformers.utils import logging

from pipeline import runtime
from pipeline.encoders.windows import build_windows, describe_losses
from pipeline.errors import UserError
from pipeline.manifest import Utterance
from pipeline.params import FinetuneParams, WindowParams
from pipeline.work.progress import Progress

Row = dict[str, Any]
"""``input_ids`` and ``label`` of an utterance."""


@dataclass(frozen=True)
class Epoch:
    """Losses and weighted F1 in percent after an epoch."""

    epoch: int
    train_loss: float
    dev_loss: float
    dev_weighted_f1: float


def labelled_windows(
    split: str,
    dialogues: Iterable[Sequence[Utterance]],
    tokenizer: PreTrainedTokenizerBase,
    window: WindowParams,
    labels: Sequence[str],
) -> list[Row]:
    """What the encoder reads for each labelled utterance of a split's dialogues; UserError if none is."""
    rows, windows = [], []
    for dialogue in dialogues:
        for utterance, built in zip(dialogue, build_windows(dialogue, tokenizer, window), strict=True):
            if utterance.label:
                rows.append({"input_ids": built.token_ids, "label": labels.index(utterance.label)})
                windows.append(built)
    if not rows:
        raise UserError(f"no labelled utterance in the {split} split, which fine-tuning needs; set epochs: 0")
    print(f"finetune: {split}: {describe_losses(windows)}", flush=True)
    return rows


def prepare(
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    network: PreTrainedModel,
    splits: Mapping[str, Sequence[Row]],
    params: FinetuneParams,
) -> None:
    """Write down what there is to do; ``splits`` holds the rows of train and dev."""
    network.save_pretrained(folder / "start")
    tokenizer.save_pretrained(folder / "start")
    task = {"params": params.model_dump(mode="json"), "splits": splits}
    (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")


def read_curve(folder: Path) -> list[Epoch]:
    """The learning curve of a finished folder."""
    return [Epoch(**row) for row in json.loads((folder / "curve.json").read_text(encoding="utf-8"))]


def train(folder: Path) -> None:
    """Train in this process, from the last checkpoint if there is one; leave ``best/``.

    UserError where the training diverges or the GPU has no bfloat16.
    """
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    params = FinetuneParams.model_validate(task["params"])
    runtime.keep_onednn_caches_small()
    logging.disable_progress_bar()  # transformers has one for every file it reads or writes
    arguments = _arguments(folder, params)
    tokenizer = AutoTokenizer.from_pretrained(folder / "start")
    trainer = _Trainer(
        model=AutoModelForSequenceClassification.from_pretrained(folder / "start"),
        args=arguments,
        train_dataset=_Rows(task["splits"]["train"]),
        eval_dataset=_Rows(task["splits"]["dev"]),
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=_weighted_f1,
        compute_loss_func=_WeightedLoss(task["splits"]["train"], params.class_weight_exponent),
    )
    trainer.remove_callback(PrinterCallback)
    with ExitStack() as stack:
        if arguments.should_save:  # the first process
            utterances = len(task["splits"]["train"])
            progress = Progress("finetune", epochs=params.epochs, utterances=utterances * params.epochs)
            trainer.add_callback(_Progress(stack.enter_context(progress), utterances, params.epochs))
        trainer.train(resume_from_checkpoint=_last_checkpoint(folder))
    if arguments.should_save:
        _leave_result(folder, trainer, tokenizer)


def _arguments(folder: Path, params: FinetuneParams) -> TrainingArguments:
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    on_cpu = runtime.device() == "cpu"
    bfloat16 = params.precision == "bfloat16"
    if bfloat16 and not on_cpu and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UserError(
            f"finetune.precision: {torch.cuda.get_device_name()} has no bfloat16; set it to float32"
        )
    if not on_cpu:  # a GPU's faster sums depend on who comes first; the CPU's never do
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=params.epochs,
        # However many processes share it, a step sees the same utterances.
        per_device_train_batch_size=params.batch_utterances // processes,
        per_device_eval_batch_size=2 * params.batch_utterances,
        learning_rate=params.learning_rate,
        weight_decay=params.weight_decay,
        warmup_steps=params.warmup_fraction,
        lr_scheduler_type="linear",
        bf16=bfloat16,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=2,  # a kill while one is written leaves the one before
        load_best_model_at_end=True,
        metric_for_best_model="weighted_f1",
        seed=params.seed,
        use_cpu=on_cpu,
        ddp_backend="gloo" if on_cpu and processes > 1 else None,
        dataloader_pin_memory=not on_cpu,
        report_to=[],
        disable_tqdm=True,
    )


def _last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint; those that a kill has left unfinished are deleted."""
    whole = []
    for path in folder.glob("checkpoint-*"):
        try:  # the Trainer writes its state last
            state = json.loads((path / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            if int(os.environ.get("RANK", "0")) == 0:
                shutil.rmtree(path, ignore_errors=True)
            continue
        # Where the best epoch so far was deleted already, the end could not load it.
        if Path(state["best_model_checkpoint"]).is_dir():
            whole.append((state["global_step"], str(path)))
    return max(whole)[1] if whole else None


def _leave_result(folder: Path, trainer: Trainer, tokenizer: PreTrainedTokenizerBase) -> None:
    network = trainer.accelerator.unwrap_model(trainer.model)
    if not all(torch.isfinite(weights).all() for weights in network.parameters()):
        raise UserError("fine-tuning diverged: the weights are not finite; lower finetune.learning_rate")
    curve = json.dumps(_curve(trainer.state.log_history), indent=2)
    (folder / "curve.json").write_text(curve + "\n", encoding="utf-8")
    unnamed = folder / "best.part"
    network.save_pretrained(unnamed)
    tokenizer.save_pretrained(unnamed)
    unnamed.replace(folder / "best")


def _curve(history: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """One row per epoch out of the Trainer's log, which has training and validation apart."""
    rows: dict[float, dict[str, float]] = {}
    names = {"loss": "train_loss", "eval_loss": "dev_loss", "eval_weighted_f1": "dev_weighted_f1"}
    for entry in history:
        row = rows.setdefault(entry["epoch"], {"epoch": round(entry["epoch"])})
        row |= {names[key]: round(value, 4) for key, value in entry.items() if key in names}
    return [row for row in rows.values() if len(row) == 1 + len(names)]


def _weighted_f1(prediction: EvalPrediction) -> dict[str, float]:
    chosen = np.argmax(prediction.predictions, axis=-1)
    return {"weighted_f1": 100 * f1_score(prediction.label_ids, chosen, average="weighted", zero_division=0)}


class _Rows(Dataset):
    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]


class _LikeLengths(Sampler[int]):
    """Rows in a new order in each epoch, in which those of a step are of like length.

    MELD's windows are padded to 1.03 times their tokens so, and to 1.76 times if put together by chance.
    The order depends on seed and epoch alone: of several processes each takes its share of the same.  (The
    Trainer's own sampler groups what one process gets, by random numbers that may differ between them.)
    """

    def __init__(self, rows: Sequence[Row], batch_utterances: int, seed: int) -> None:
        self._lengths = [len(row["input_ids"]) for row in rows]
        self._batch_utterances, self._seed, self._epoch = batch_utterances, seed, 0

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        return iter(get_length_grouped_indices(self._lengths, self._batch_utterances, generator=generator))

    def set_epoch(self, epoch: int) -> None:
        """From 0; the Trainer says it before each."""
        self._epoch = epoch


class _Trainer(Trainer):
    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler[int]:
        rows = cast("_Rows", self.train_dataset).rows
        utterances = self.args.per_device_train_batch_size * self.args.world_size
        return _LikeLengths(rows, utterances, self.args.seed)


class _WeightedLoss:
    """Cross-entropy in which an utterance of class c counts (N / n_c)^exponent, 1 on average over train."""

    def __init__(self, rows: Sequence[Row], exponent: float) -> None:
        labels = torch.tensor([row["label"] for row in rows])
        count = torch.bincount(labels).clamp(min=1)
        weights = count.double().pow(-exponent)
        self._weights = (weights / weights[labels].mean()).float()

    def __call__(
        self, outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        # Validation may hold a class that training does not.
        weights = torch.ones(outputs.logits.shape[-1], device=labels.device)
        weights[: len(self._weights)] = self._weights.to(labels.device)
        losses = cross_entropy(outputs.logits.float(), labels, reduction="none") * weights[labels]
        return losses.sum() / (len(labels) if num_items_in_batch is None else num_items_in_batch)


class _Progress(TrainerCallback):
    """Tells how far the Trainer is, with a line for each epoch."""

    def __init__(self, progress: Progress, utterances: int, epochs: int) -> None:
        self._progress, self._utterances, self._epochs = progress, utterances, epochs
        self._seen = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if state.epoch:
            done = round(state.epoch)
            self._seen = done * self._utterances
            self._progress.say(f"goes on after epoch {done} of {self._epochs}")
            self._progress.resume(epochs=done, utterances=self._seen)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        before, self._seen = self._seen, round((state.epoch or 0.0) * self._utterances)
        self._progress.advance(utterances=self._seen - before)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        f1 = kwargs["metrics"]["eval_weighted_f1"]
        epoch = round(state.epoch or 0.0)
        self._progress.say(f"epoch {epoch} of {self._epochs}: weighted F1 {f1:.2f} on validation")
        self._progress.advance(epochs=1)


if __name__ == "__main__":
    with runtime.printing_whatever_comes():
        try:
            train(Path(sys.argv[1]))
        except UserError as mistake:
            sys.exit(f"finetune: error: {mistake}")
