"""Stage evaluate: trained models on the validation and test splits -> metrics, predictions, confusion."""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.features import UNLABELLED, Features, read_features
from pipeline.runtime import device
from train.data import Dialogues
from train.loop import Predictions, predict
from train.metrics import Metrics, compute_metrics
from train.model import load_model

SPLITS = ("dev", "test")
UNTRAINED = "UNTRAINED"  # how provenance begins the description of an encoder with random weights


def main(corpus: str) -> None:
    """Write ``metrics.json``, ``predictions.csv`` and ``plots/confusion.csv``, and print the metrics."""
    folder = Path("data") / corpus
    features_path = folder / "features.h5"
    model = load_model(folder / "model")
    features = read_features(features_path, list(model.card.dims))
    model.check_fits(features, features_path)
    if features.digest != model.card.features_sha256:
        # Its widths fit, its meaning may not: another encoder gives other features of the same width.
        raise UserError(
            f"{features_path}: {folder / 'model'} was trained on other features; run dvc repro train@{corpus}"
        )
    where = device()
    dialogues = Dialogues.from_features(features, model.standardisation).to(where)

    predictions: dict[str, dict[int, Predictions]] = {split: {} for split in SPLITS}
    for seed in model.weights:
        network = model.network(seed).to(where)
        for split in SPLITS:
            spans = dialogues.spans[split]
            predictions[split][seed] = predict(network, dialogues, spans, model.card.train.batch_dialogues)
    metrics = {split: score(features, list(runs.values())) for split, runs in predictions.items()}

    encoders = model.card.encoders
    report = {"encoders": encoders} | {split: summarise(runs) for split, runs in metrics.items() if runs}
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    (folder / "metrics.json").write_text(text, encoding="utf-8")
    write_predictions(folder / "predictions.csv", features, predictions)
    write_confusion(folder / "plots" / "confusion.csv", features, predictions["test"])

    seeds = ", ".join(map(str, model.weights))
    print(f"\n{corpus}: {' + '.join(model.card.dims)}, fusion {model.card.train.fusion}, seeds {seeds}")
    for split in reversed(SPLITS):
        print()
        print(describe(split, metrics[split]))
    print()
    untrained = [f"{name}: {text}" for name, text in encoders.items() if text.startswith(UNTRAINED)]
    if untrained:
        print(f"These figures say nothing about the method: {'; '.join(untrained)}")
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
    """Means over seeds, in percent with two decimals; ``_std`` is the sample standard deviation."""

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


def write_predictions(path: Path, features: Features, predictions: dict[str, dict[int, Predictions]]) -> None:
    """One row per split, seed and utterance; the label is empty where the utterance has none."""
    names = features.label_names
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "split", "label", "prediction", "seed", *(f"p_{name}" for name in names)])
        for split, runs in predictions.items():
            for seed, run in runs.items():
                for row, predicted, probability in zip(run.row, run.label, run.probability, strict=True):
                    label = features.label[row]
                    actual = "" if label == UNLABELLED else names[label]
                    shown = [f"{p:.6f}" for p in probability]
                    writer.writerow([features.id[row], split, actual, names[predicted], seed, *shown])


def write_confusion(path: Path, features: Features, runs: dict[int, Predictions]) -> None:
    """One row per seed and labelled utterance, as DVC's confusion template reads it."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["actual", "predicted"])
        for run in runs.values():
            for label, predicted in zip(features.label[run.row], run.label, strict=True):
                if label != UNLABELLED:
                    writer.writerow([features.label_names[label], features.label_names[predicted]])


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
