"""Stage train: feature file -> one trained fusion model per seed, and its learning curves."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import torch

from pipeline.errors import UserError
from pipeline.features.file import Features, read_features
from pipeline.params import MODALITIES, TrainParams, read_params
from pipeline.runtime import checkpoint_root, device
from pipeline.store.code import result_digest
from pipeline.store.keys import library_versions, work_key
from pipeline.work.progress import Progress
from train.data import Dialogues, Standardisation, fit_standardisation
from train.loop import TrainingRun, TrainingStoppedError, train_seed
from train.model import ModelCard, Selected, TrainedModel, save_model
from train.trainer import Epoch


def main(corpus: str) -> None:
    """Train every seed on ``data/<corpus>/features.h5``; write ``model/`` and ``plots/curves.csv``.

    Where a run is stopped, the next one goes on: until it is done, the state of every seed lies
    among the checkpoints, under a key of all that it depends on.
    """
    params = read_params().corpus(corpus).train
    folder = Path("data") / corpus
    modalities = [name for name in MODALITIES if name in params.modalities]
    features = read_features(folder / "features.h5", modalities)
    standardisation = fit_standardisation(features, modalities)
    dialogues = Dialogues.from_features(features, standardisation).to(device())
    states = checkpoint_root() / run_key(features, params)
    card = describe_training(corpus, features, params)
    del features  # as large as the dialogues made of them, and of no use in training

    runs: dict[int, TrainingRun] = {}
    with Progress("train", epochs=len(params.seeds) * params.epochs) as progress:

        def show(epoch: Epoch) -> None:
            f1 = 100 * epoch.dev_weighted_f1
            progress.advance(f"seed {epoch.seed}: loss {epoch.train_loss:.3f}, dev F1 {f1:.2f}", epochs=1)

        def go_on(done: Sequence[Epoch]) -> None:
            progress.say(f"seed {done[-1].seed}: goes on after epoch {len(done)} of {params.epochs}")
            progress.resume(epochs=len(done))

        for seed in params.seeds:
            try:
                runs[seed] = train_seed(dialogues, params, seed, show, states / f"seed_{seed}.pt", go_on)
            except TrainingStoppedError as error:
                if error.run is None:
                    raise
                kept = states / "last_good_model"
                save_model(kept, trained_model(card, standardisation, {seed: error.run}))
                epoch = error.run.selected.epoch
                raise UserError(
                    f"{error}; the best model so far, of epoch {epoch}, is kept in {kept}"
                ) from None

    save_model(folder / "model", trained_model(card, standardisation, runs))
    write_curves(folder / "plots" / "curves.csv", [epoch for run in runs.values() for epoch in run.epochs])
    shutil.rmtree(states, ignore_errors=True)
    for seed, run in runs.items():
        print(
            f"train: seed {seed}: weighted F1 {100 * run.selected.dev_weighted_f1:.2f} on dev "
            f"at epoch {run.selected.epoch} of {params.epochs}"
        )


def run_key(features: Features, params: TrainParams) -> str:
    """Changes with whatever the weights depend on, but for the seed; so also with device and threads."""
    where = torch.cuda.get_device_name() if device() != "cpu" else f"cpu, {torch.get_num_threads()} threads"
    return work_key(
        "train",
        code=result_digest("stages.train"),
        versions=library_versions("torch", "numpy"),
        features=features.digest,
        params=params.model_dump(mode="json", exclude={"seeds"}),
        device=where,
    )


def describe_training(corpus: str, features: Features, params: TrainParams) -> ModelCard:
    """The card of a model before there is one: what it is trained on, and how."""
    seen = [name for name in MODALITIES if name in params.modalities]
    return ModelCard(
        corpus=corpus,
        label_names=features.label_names,
        dims={name: features.modalities[name].features.shape[1] for name in seen},
        train=params,
        selected={},
        features_sha256=features.digest,
        encoders={
            name: description
            for name, description in features.provenance.get("encoders", {}).items()
            if name in seen  # what the model does not see says nothing about it
        },
        settings={
            name: source["settings"]
            for name, source in features.provenance.get("sources", {}).items()
            if name in seen and "settings" in source
        },
    )


def trained_model(
    card: ModelCard, standardisation: Standardisation, runs: dict[int, TrainingRun]
) -> TrainedModel:
    """The networks of all runs, with the card that says how they came about."""
    selected = {seed: describe_run(run) for seed, run in runs.items()}
    weights = {seed: run.weights for seed, run in runs.items()}
    return TrainedModel(card.model_copy(update={"selected": selected}), standardisation, weights)


def describe_run(run: TrainingRun) -> Selected:
    """What the card says of one seed."""
    return Selected(
        epoch=run.selected.epoch,
        dev_weighted_f1=run.selected.dev_weighted_f1,
        best_test_epoch=run.test_best.epoch if run.test_best else None,
        best_test_weighted_f1=run.test_best.weighted_f1 if run.test_best else None,
    )


def write_curves(path: Path, epochs: list[Epoch]) -> None:
    """One row per seed and epoch; F1 in percent, as in all files that people read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Epoch)], lineterminator="\n")
        writer.writeheader()
        for epoch in epochs:
            values = (asdict(epoch) | {"dev_weighted_f1": 100 * epoch.dev_weighted_f1}).items()
            writer.writerow({name: f"{v:.6g}" if isinstance(v, float) else v for name, v in values})
