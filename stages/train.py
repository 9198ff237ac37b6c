"""Stage train: feature file -> one trained network per seed, and its learning curves.

Every finished seed is kept in the item store, so that no seed is trained twice for the same features, params,
code and device.  Where a run is stopped, the next one goes on.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.features.file import Features, read_features
from pipeline.params import MODALITIES, Kind, KindOf, ModelParams, read_params
from pipeline.runtime import checkpoint_root, device, device_and_threads, store_root
from pipeline.store.code import result_digest
from pipeline.store.items import ItemStore
from pipeline.store.keys import library_versions, work_key
from pipeline.store.locks import only_run
from pipeline.work.progress import Progress
from train.data import Dialogues, Standardisation, count_classes, fit_standardisation
from train.loop import TrainingRun, TrainingStoppedError, pack_run, train_seed, unpack_run
from train.model import ModelCard, Selected, TrainedModel, save_model
from train.networks import find_network, with_recipe
from train.trainer import Epoch


def main(model: str) -> None:
    """Train every seed; write ``data/models/<model>/model/`` and ``plots/curves.csv``."""
    params = with_recipe(read_params().model(model), f"models.{model}")
    network = find_network(params.network, f"models.{model}.network")
    features = read_features(Path(params.features), params.modalities)
    params = with_defaults(params, network, features)
    standardisation = fit_standardisation(features, params.modalities or (), params.unscaled)
    card = describe_training(features, params)
    keys = {seed: run_key(features, params, network, seed) for seed in params.seeds}
    store = ItemStore(store_root(), "train")
    runs = {seed: unpack_run(item) for seed, key in keys.items() if (item := store.get(key)) is not None}
    absent = [seed for seed in params.seeds if seed not in runs]
    print(f"train: {len(absent)} of {len(keys)} seeds to do, {len(runs)} stored", flush=True)
    if absent:
        dialogues = Dialogues.from_features(features, standardisation).to(device())
        del features  # as large as the dialogues made of them, and of no use in training
        with Progress("train", epochs=len(absent) * params.epochs) as progress:
            training = Training(dialogues, params, card, standardisation, store, progress)
            runs |= {seed: training.run(seed, keys[seed]) for seed in absent}

    runs = {seed: runs[seed] for seed in params.seeds}
    folder = Path("data", "models", model)
    card = card.model_copy(update={"item_keys": tuple(keys.values())})
    save_model(folder / "model", trained_model(card, standardisation, runs))
    write_curves(folder / "plots" / "curves.csv", [epoch for run in runs.values() for epoch in run.epochs])
    for seed, run in runs.items():
        print(
            f"train: seed {seed}: weighted F1 {100 * run.selected.dev_weighted_f1:.2f} on dev "
            f"at epoch {run.selected.epoch} of {params.epochs}"
        )


@dataclass(frozen=True)
class Training:
    """What all seeds are trained on, and where what they give is kept."""

    dialogues: Dialogues
    params: ModelParams
    card: ModelCard
    standardisation: Standardisation
    store: ItemStore
    progress: Progress

    def run(self, seed: int, key: str) -> TrainingRun:
        """Train a seed, or go on with a training that was stopped, and keep the result in the item store."""
        folder = checkpoint_root() / key
        with only_run(folder):
            stored = self.store.get(key)  # the run that had the folder before may have finished it
            if stored is None:
                run = self._train(seed, folder)
                self.store.put(key, pack_run(run))
            else:
                run = unpack_run(stored)
            shutil.rmtree(folder, ignore_errors=True)
        return run

    def _train(self, seed: int, folder: Path) -> TrainingRun:
        def show(epoch: Epoch) -> None:
            f1 = 100 * epoch.dev_weighted_f1
            self.progress.advance(f"seed {seed}: loss {epoch.train_loss:.3f}, dev F1 {f1:.2f}", epochs=1)

        def go_on(done: Sequence[Epoch]) -> None:
            self.progress.say(f"seed {seed}: goes on after epoch {len(done)} of {self.params.epochs}")
            self.progress.resume(epochs=len(done))

        def start_anew(selected: Epoch) -> None:
            self.progress.say(f"seed {seed}: epoch {selected.epoch} it is; now on train and dev together")

        try:
            return train_seed(self.dialogues, self.params, seed, show, folder / "state.pt", go_on, start_anew)
        except TrainingStoppedError as error:
            if error.run is None:
                raise
            kept = folder / "last_good_model"
            save_model(kept, trained_model(self.card, self.standardisation, {seed: error.run}))
            epoch = error.run.selected.epoch
            raise UserError(f"{error}; the best model so far, of epoch {epoch}, is kept in {kept}") from None


def with_defaults(params: ModelParams, network: KindOf, features: Features) -> ModelParams:
    """The params with all that they leave open: the network's defaults, and the features' modalities."""
    seen = tuple(name for name in MODALITIES if name in features.modalities)
    filled = Kind.model_validate(network.params.model_dump(mode="json"))
    return params.model_copy(update={"network": filled, "modalities": seen})


def run_key(features: Features, params: ModelParams, network: KindOf, seed: int) -> str:
    """Changes with whatever the weights depend on; so also with device and threads."""
    return work_key(
        "train",
        code=result_digest("train.loop", network.module.__name__),
        versions=library_versions("torch", "numpy"),
        features=features.digest,
        modalities=params.modalities,
        network=params.network.model_dump(mode="json"),
        params=params.training(),
        seed=seed,
        device=device_and_threads(),
    )


def describe_training(features: Features, params: ModelParams) -> ModelCard:
    """The card of a model before there is one: what it is trained on, and how."""
    seen = params.modalities or ()
    return ModelCard(
        corpus=features.corpus,
        label_names=features.label_names,
        class_counts=count_classes(features),
        dims={name: features.modalities[name].features.shape[1] for name in seen},
        params=params,
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
    card: ModelCard, standardisation: Standardisation, runs: Mapping[int, TrainingRun]
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


def write_curves(path: Path, epochs: Sequence[Epoch]) -> None:
    """One row per seed and epoch; F1 in percent, as in all files that people read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    terms = list(epochs[0].train_terms)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            [
                "seed",
                "epoch",
                "train_loss",
                *(f"train_{each}" for each in terms),
                "dev_loss",
                "dev_weighted_f1",
            ]
        )
        for epoch in epochs:
            losses = [epoch.train_loss, *(epoch.train_terms[each] for each in terms), epoch.dev_loss]
            figures = [f"{value:.6g}" for value in [*losses, 100 * epoch.dev_weighted_f1]]
            writer.writerow([epoch.seed, epoch.epoch, *figures])
