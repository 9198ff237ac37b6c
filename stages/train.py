"""Stage train: feature file -> one trained network per seed, and its learning curves.

Every finished seed is kept in the item store, so that no seed is trained twice for the same features, params,
code and device.  Where a run is stopped, the next one goes on.  Seeds are trained side by side, one in each
worker process; as each is trained by one thread, their number changes no bit.
"""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from pipeline import runtime
from pipeline.errors import UserError
from pipeline.features.content import Features
from pipeline.features.dialogues import training_digest
from pipeline.features.file import read_features
from pipeline.features.standardisation import Standardisation, fit_standardisation
from pipeline.params import MODALITIES, Kind, KindOf, ModelParams, read_params
from pipeline.report.speed import write_speed
from pipeline.store.atomic import write_csv
from pipeline.store.code import result_digest
from pipeline.store.h5 import Arrays
from pipeline.store.items import ItemStore
from pipeline.store.keys import library_versions, work_key
from pipeline.store.locks import only_run
from pipeline.work.engine import run_all
from pipeline.work.extraction import wait_for_item
from pipeline.work.processes import WorkerDied
from pipeline.work.progress import Progress
from train.compatibility import extraction_settings
from train.data import Dialogues, count_classes
from train.loop import TrainingStoppedError, Watcher, train_seed
from train.model import ModelCard, Selected, TrainedModel, save_model
from train.networks import find_network, module_of_network, with_recipe
from train.run import TrainingRun, pack_run, unpack_run
from train.trainer import Epoch

SECONDS = "seconds_per_epoch"
"""Of an item of the store: no part of what was trained."""


def main(model: str) -> None:
    """Train every seed; write ``model/``, ``plots/curves.csv`` and ``speed.csv`` of the model."""
    params = with_recipe(read_params().model(model), f"models.{model}")
    network = find_network(params.network, f"models.{model}.network")
    path = Path(params.features)
    features = read_features(path, params.modalities)
    params = with_defaults(params, network, features)
    standardisation = fit_standardisation(features, params.modalities or (), params.unscaled)
    card = describe_training(features, params)
    where = device_of_workers()
    learnt_from = training_digest(features)
    keys = {seed: run_key(card, learnt_from, seed, where) for seed in params.seeds}
    store = ItemStore(runtime.store_root(), "train")
    stored = {seed: item for seed, key in keys.items() if (item := store.get(key)) is not None}
    absent = [seed for seed in params.seeds if seed not in stored]
    print(f"train: {len(absent)} of {len(keys)} seeds to do, {len(stored)} stored", flush=True)
    if absent:
        training = Training(path, params, card, standardisation, keys, store, where)
        if min(len(absent), runtime.model_workers()) == 1 and runtime.engine() == "loky":
            dialogues = Dialogues.from_features(features, standardisation).to(runtime.device())
            del features  # as large as the dialogues made of them, and of no use in training
            with Progress("train", epochs=len(absent) * params.epochs) as progress:
                seeds = [Seed(seed, training, dialogues, progress) for seed in absent]
                failed = [why for each in seeds if (why := each.train())]
        else:
            del features
            failed = train_side_by_side(training, absent)
        if failed:
            raise UserError(
                "; ".join(failed)
                + ("; what is finished of the other seeds is kept" if len(keys) > len(failed) else "")
            )
        stored |= {seed: wait_for_item(keys[seed], store) for seed in absent}

    items = {seed: stored[seed] for seed in params.seeds}
    runs = {seed: unpack_run(item) for seed, item in items.items()}
    folder = Path("data", "models", model)
    card = card.model_copy(update={"item_keys": tuple(keys.values())})
    save_model(folder / "model", trained_model(card, standardisation, runs))
    write_curves(folder / "plots" / "curves.csv", [epoch for run in runs.values() for epoch in run.epochs])
    seconds = {seed: float(item[SECONDS]) for seed, item in items.items() if SECONDS in item}
    write_speed(folder / "speed.csv", where, seconds)
    for seed, run in runs.items():
        print(
            f"train: seed {seed}: weighted F1 {100 * run.selected.dev_weighted_f1:.2f} on dev "
            f"at epoch {run.selected.epoch} of {len(run.epochs)}"
            + (f", {seconds[seed]:.3g} s an epoch" if seed in seconds else "")
        )


@dataclass(frozen=True)
class Training:
    """What all seeds have in common, small enough to send to a worker."""

    features: Path
    params: ModelParams
    card: ModelCard
    standardisation: Standardisation
    keys: dict[int, str]
    """By seed: under which the item store keeps it."""
    store: ItemStore
    device: str
    """In words: the keys hold it."""


def train_side_by_side(training: Training, seeds: Sequence[int]) -> list[str]:
    """Train seeds in as many worker processes as there are cores, GPUs or workers of a cluster.

    Why seeds could not be trained to their end, a line for each.
    """

    def say(task: tuple[Training, int], death: WorkerDied) -> None:
        print(f"train: a worker died at seed {task[1]} ({death}); it will be tried again alone", flush=True)

    failed, died = [], []
    tasks = [(training, seed) for seed in seeds]
    workers = runtime.model_workers()
    for ended in run_all(train_alone, tasks, workers=workers, modules=["stages.train"], on_death=say):
        if ended.death is not None:
            died.append(f"workers died twice at seed {ended.task[1]} ({ended.death})")
        elif ended.result:
            failed.append(str(ended.result))
    if died:
        died[-1] += ", where dvc repro goes on (fewer MULTIEMO_WORKERS need less memory)"
    return failed + died


def train_alone(task: tuple[Training, int]) -> str | None:
    """Train a seed in a worker process, which reads the features itself: they are too large to be sent.

    Why it could not be trained to its end, if so.
    """
    training, seed = task
    if (here := runtime.device_name()) != training.device:
        raise UserError(
            f"{socket.gethostname()} computes on {here} and another worker on {training.device}, which gives"
            " other bits; choose one by MULTIEMO_DEVICE, or workers that are alike"
        )
    features = read_features(training.features, training.params.modalities)
    if features.digest != training.card.features_sha256:
        raise UserError(f"{training.features} has changed meanwhile; run dvc repro again")
    dialogues = Dialogues.from_features(features, training.standardisation).to(runtime.device())
    del features
    with Progress("train", epochs=training.params.epochs) as progress:
        return Seed(seed, training, dialogues, progress).train()


def device_of_workers() -> str:
    """The device that seeds are trained on, in words; of a cluster, which a worker of it must be asked."""
    if runtime.engine() == "loky":
        return runtime.device_name()
    asked = run_all(name_device, [None], workers=1, modules=["stages.train"], on_death=lambda *_: None)
    ended = next(asked)
    if ended.death is not None:
        raise UserError(f"no worker of the cluster says what it computes on: {ended.death}")
    return str(ended.result)


def name_device(_: None) -> str:
    """The device of a worker, in words."""
    return runtime.device_name()


@dataclass(frozen=True)
class Seed(Watcher):
    """One seed's training, on the device where the dialogues are."""

    seed: int
    training: Training
    dialogues: Dialogues
    progress: Progress
    ends_s: list[float] = field(default_factory=list, init=False)
    """When training began, and when each epoch ended."""

    def train(self) -> str | None:
        """Train, or go on with a training that was stopped, and keep the result in the item store.

        Why it could not go on to its end, if so: what one seed runs into is no reason to stop others.
        """
        key, store = self.training.keys[self.seed], self.training.store
        folder = runtime.checkpoint_root() / key
        with only_run(folder):
            if store.get(key) is None:  # the run that had the folder before may have finished it
                try:
                    store.put(key, self._train(folder))
                except TrainingStoppedError as error:
                    return str(error)
            shutil.rmtree(folder, ignore_errors=True)
        return None

    def _train(self, folder: Path) -> Arrays:
        params, seed = self.training.params, self.seed
        self.ends_s.append(time.monotonic())
        try:
            run = train_seed(self.dialogues, params, seed, self, folder / "state.pt")
        except TrainingStoppedError as error:
            if error.run is None:
                raise
            kept = folder / "last_good_model"
            model = trained_model(self.training.card, self.training.standardisation, {seed: error.run})
            save_model(kept, model)
            epoch = error.run.selected.epoch
            raise TrainingStoppedError(
                f"{error}; the best model so far, of epoch {epoch}, is kept in {kept}", error.run
            ) from None
        if spared := params.epochs - len(run.epochs):
            patience = f"{params.patience_epochs} without a better one"
            self.progress.say(f"seed {seed}: ended after {len(run.epochs)} epochs, {patience}")
            self.progress.resume(epochs=spared)
        item = pack_run(run)
        if len(self.ends_s) > 1:  # otherwise all was done before
            item[SECONDS] = np.array(median(np.diff(self.ends_s).tolist()))
        return item

    def on_resume(self, epochs: Sequence[Epoch]) -> None:
        """Say so."""
        self.progress.say(
            f"seed {self.seed}: goes on after epoch {len(epochs)} of {self.training.params.epochs}"
        )
        self.progress.resume(epochs=len(epochs))

    def on_epoch(self, epoch: Epoch) -> None:
        """Show how well it does, and note the time."""
        self.ends_s.append(time.monotonic())
        f1 = 100 * epoch.dev_weighted_f1
        self.progress.advance(f"seed {self.seed}: loss {epoch.train_loss:.3f}, dev F1 {f1:.2f}", epochs=1)

    def on_refit(self, selected: Epoch) -> None:
        """Say so."""
        self.progress.say(f"seed {self.seed}: epoch {selected.epoch} it is; now on train and dev together")


def with_defaults(params: ModelParams, network: KindOf, features: Features) -> ModelParams:
    """The params with all that they leave open: the network's defaults, and the features' modalities."""
    seen = tuple(name for name in MODALITIES if name in features.modalities)
    filled = Kind.model_validate(network.params.model_dump(mode="json"))
    return params.model_copy(update={"network": filled, "modalities": seen})


def run_key(card: ModelCard, learnt_from: str, seed: int, where: str) -> str:
    """Changes with whatever the weights depend on; so also with the device, in words.

    ``learnt_from`` is the ``training_digest`` of the features: an item holds no rows of them.
    """
    params = card.params
    return work_key(
        "train",
        code=result_digest("train.loop", module_of_network(params.network, card.dims, card.class_counts)),
        versions=library_versions("torch", "numpy"),
        features=learnt_from,
        modalities=params.modalities,
        network=params.network.model_dump(mode="json"),
        params=params.training(),
        seed=seed,
        device=where,
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
        settings={name: settings for name in seen if (settings := extraction_settings(features, name))},
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
    terms = list(epochs[0].train_terms)
    columns = [
        "seed",
        "epoch",
        "train_loss",
        *(f"train_{each}" for each in terms),
        "dev_loss",
        "dev_weighted_f1",
    ]
    rows = []
    for epoch in epochs:
        losses = [epoch.train_loss, *(epoch.train_terms[each] for each in terms), epoch.dev_loss]
        figures = [f"{value:.6g}" for value in [*losses, 100 * epoch.dev_weighted_f1]]
        rows.append([epoch.seed, epoch.epoch, *figures])
    write_csv(path, columns, rows)
