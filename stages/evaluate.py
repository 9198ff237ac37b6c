"""Stage evaluate: trained models on the validation and test splits -> metrics, predictions, confusion."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.errors import UserError
from pipeline.features import UNLABELLED, Features, read_features
from pipeline.runtime import device
from train.data import Dialogues
from train.loop import Predictions, predict
from train.metrics import Metrics, compute_metrics
from train.model import load_model

SPLITS = ("dev", "test")
UNTRAINED = "untrained"  # how provenance begins the description of an encoder with random weights


def main(corpus: str) -> None:
    """Write ``metrics.json``, ``predictions.csv`` and ``plots/confusion.csv``, and print the metrics."""
    folder = Path("data") / corpus
    features_path = folder / "features.h5"
    model = load_model(folder / "model")
    features = read_features(features_path, list(model.card.dims))
    model.check_fits(features, features_path)
    if features.digest != model.card.features_sha256:
        # Its widths fit, its meaning may not: another encoder gives other features of the same width.
        raise UserError(f"{features_path}: {folder / 'model'} was trained on other features; run dvc repro train@{corpus}")
    where = device()
    dialogues = Dialogues.from_features(features, model.standardisation).to(where)

    predictions = {
        seed: {
            split: predict(
                model.network(seed).to(where), dialogues, dialogues.spans[split], model.card.train.batch_dialogues
            )
            for split in SPLITS
        }
        for seed in model.weights
    }
    metrics = {split: score(features, [by_split[split] for by_split in predictions.values()]) for split in SPLITS}

    encoders = model.card.encoders
    report = {"encoders": encoders} | {split: summarise(runs) for split, runs in metrics.items() if runs}
    (folder / "metrics.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    table = tabulate(features, predictions)
    table.to_csv(folder / "predictions.csv", index=False, float_format="%.6f", lineterminator="\n")
    (folder / "plots").mkdir(exist_ok=True)
    scored = table[(table["split"] == "test") & (table["label"] != "")]
    scored[["label", "prediction"]].rename(columns={"label": "actual", "prediction": "predicted"}).to_csv(
        folder / "plots" / "confusion.csv", index=False, lineterminator="\n"
    )

    print(f"\n{corpus}, {' + '.join(model.card.dims)}, {model.card.train.fusion}, {len(model.weights)} seed(s)")
    for split in reversed(SPLITS):
        print()
        print(describe(split, metrics[split]))
    print()
    for name, description in encoders.items():
        if description.lower().startswith(UNTRAINED):
            print(
                f"The {name} encoder is untrained, its weights are random: these figures say nothing about "
                f"how well the method works ({name}: {description})."
            )
    print(f"feature file: {features_path}")


def score(features: Features, runs: list[Predictions]) -> list[Metrics]:
    """Metrics of each seed on the labelled utterances of a split; none if there are no such utterances."""
    scored = []
    for run in runs:
        label = features.label[run.row]
        labelled = label != UNLABELLED
        if labelled.any():
            scored.append(compute_metrics(label[labelled], run.label[labelled], features.label_names))
    return scored


def summarise(runs: list[Metrics]) -> dict[str, Any]:
    """Means over seeds in percent, two decimals, as the paper's tables; the standard deviation is the sample's."""

    def mean(values: list[float]) -> float:
        return round(100 * statistics.fmean(values), 2)

    weighted_f1 = [run.weighted_f1 for run in runs]
    return {
        "weighted_f1": mean(weighted_f1),
        "weighted_f1_std": round(100 * statistics.stdev(weighted_f1), 2) if len(runs) > 1 else 0.0,
        "macro_f1": mean([run.macro_f1 for run in runs]),
        "accuracy": mean([run.accuracy for run in runs]),
        "f1": {name: mean([run.f1[name] for run in runs]) for name in runs[0].f1},
    }


def tabulate(features: Features, predictions: dict[int, dict[str, Predictions]]) -> pd.DataFrame:
    """One row per seed and utterance: id, split, label (empty if unlabelled), prediction, seed, p_<label>..."""
    names = np.array([*features.label_names, ""])  # so that -1, unlabelled, reads as the empty text
    tables = []
    for seed, by_split in predictions.items():
        for run in by_split.values():
            table = pd.DataFrame(
                {
                    "id": features.id[run.row],
                    "split": features.split[run.row],
                    "label": names[features.label[run.row]],
                    "prediction": names[run.label],
                    "seed": seed,
                }
            )
            tables.append(table.join(pd.DataFrame(run.probability, columns=[f"p_{n}" for n in features.label_names])))
    return pd.concat(tables, ignore_index=True)


def describe(split: str, runs: list[Metrics]) -> str:
    """The metrics of a split as lines of text."""
    if not runs:
        return f"{split}: no labelled utterance, so no metrics; the predictions are in predictions.csv"
    summary, support = summarise(runs), runs[0].support
    width = max(map(len, [*support, "weighted F1"]))
    lines = [f"{split:<{width}}      F1  utterances"]
    lines += [f"{name:<{width}}  {f1:6.2f}  {support[name]:10}" for name, f1 in summary["f1"].items()]
    spread = f" +- {summary['weighted_f1_std']:.2f} over seeds" if len(runs) > 1 else ""
    lines += [
        f"{'weighted F1':<{width}}  {summary['weighted_f1']:6.2f}  {sum(support.values()):10}{spread}",
        f"{'macro F1':<{width}}  {summary['macro_f1']:6.2f}",
        f"{'accuracy':<{width}}  {summary['accuracy']:6.2f}",
    ]
    return "\n".join(lines)
