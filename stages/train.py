"""Stage train: feature file -> one trained fusion model per seed, and its learning curves."""

from __future__ import annotations

import csv
from dataclasses import asdict, fields
from pathlib import Path

from tqdm import tqdm

from pipeline.features import read_features
from pipeline.params import MODALITIES, read_params
from pipeline.runtime import device
from train.data import Dialogues, fit_standardisation
from train.loop import Epoch, TrainingRun, train_seed
from train.model import ModelCard, Selected, TrainedModel, save_model


def main(corpus: str) -> None:
    """Train every seed on ``data/<corpus>/features.h5``; write ``model/`` and ``plots/curves.csv``."""
    params = read_params().corpus(corpus).train
    folder = Path("data") / corpus
    modalities = [name for name in MODALITIES if name in params.modalities]
    features = read_features(folder / "features.h5", modalities)
    standardisation = fit_standardisation(features, modalities)
    dialogues = Dialogues.from_features(features, standardisation).to(device())

    runs: dict[int, TrainingRun] = {}
    with tqdm(total=len(params.seeds) * params.epochs, desc="train", unit=" epochs") as bar:

        def show(epoch: Epoch) -> None:
            f1 = f"{100 * epoch.dev_weighted_f1:.2f}"
            bar.set_postfix(seed=epoch.seed, loss=f"{epoch.train_loss:.3f}", dev_f1=f1)
            bar.update()

        for seed in params.seeds:
            runs[seed] = train_seed(dialogues, params, seed, show)

    card = ModelCard(
        corpus=corpus,
        label_names=features.label_names,
        dims={name: features.modalities[name].features.shape[1] for name in modalities},
        train=params,
        selected={
            seed: Selected(epoch=run.selected.epoch, dev_weighted_f1=run.selected.dev_weighted_f1)
            for seed, run in runs.items()
        },
        features_sha256=features.digest,
        encoders={
            name: description
            for name, description in features.provenance.get("encoders", {}).items()
            if name in modalities  # what the model does not see says nothing about it
        },
        settings={
            name: source["settings"]
            for name, source in features.provenance.get("sources", {}).items()
            if name in modalities and "settings" in source
        },
    )
    weights = {seed: run.weights for seed, run in runs.items()}
    save_model(folder / "model", TrainedModel(card, standardisation, weights))
    write_curves(folder / "plots" / "curves.csv", [epoch for run in runs.values() for epoch in run.epochs])
    for seed, run in runs.items():
        print(
            f"train: seed {seed}: weighted F1 {100 * run.selected.dev_weighted_f1:.2f} on dev "
            f"at epoch {run.selected.epoch} of {params.epochs}"
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
