"""Stage evaluate: trained models on the validation and test splits -> metrics, predictions, confusion.

metrics.json             the figures that one quotes, for ``dvc metrics`` and ``dvc exp show``
predictions.csv          every utterance, by seed, with the probability of each class
plots/                   confusion matrix and curves, as tables for DVC and as images
../results/<model>.json  all figures: by seed, by class, with confusion matrices and curves
../results/<model>.csv   what each seed predicts on test, with words and speakers, for models to be compared
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.features.content import UNLABELLED, Features
from pipeline.features.dialogues import training_digest
from pipeline.features.file import read_features
from pipeline.params import RESULTS, read_params
from pipeline.report.charts import draw_confusion, draw_curves, read_curves, save_png
from pipeline.report.fonts import fonts_for
from pipeline.report.predicted import write_predicted
from pipeline.report.results import SCORED, Results, SplitScores, write_results
from pipeline.report.results_in_words import compare_with_simplest, describe, headline, refitted
from pipeline.runtime import device, store_root
from pipeline.store.atomic import write_csv, write_text
from pipeline.store.code import result_digest
from pipeline.store.items import ItemStore
from pipeline.store.keys import library_versions, work_key
from train.baseline import baselines
from train.data import Dialogues
from train.loop import Predictions, predict
from train.model import TrainedModel, load_model
from train.scoring import arrange, collect, describe_predicted, percent

# Of the characters that cannot be drawn, so many are shown.
SHOWN = 10


def main(model: str) -> None:
    """Write all of the above in ``data/models/<model>``, and print the metrics."""
    folder = Path("data", "models", model)
    trained = load_model(folder / "model")
    features_path = Path(read_params().model(model).features)
    features = read_features(features_path, list(trained.card.dims))
    if features.digest != trained.card.features_sha256:
        raise UserError(
            f"{features_path}: {folder / 'model'} was trained on other features; run dvc repro train@{model}"
        )
    dialogues = Dialogues.from_features(features, trained.standardisation)
    predictions = predict_splits(trained, dialogues)
    arranged = {split: arrange(runs, dialogues.spans[split]) for split, runs in predictions.items()}
    curves = read_curves(folder / "plots" / "curves.csv")
    simplest = score_baselines(trained, features, dialogues)
    results = collect(trained, features, arranged, model, curves, simplest)
    folder_of_all = Path("data", "models", RESULTS)
    write_results(folder_of_all / f"{model}.json", results)
    write_predicted(folder_of_all / f"{model}.csv", describe_predicted(features, arranged["test"]))
    text = json.dumps(headline(results), indent=2, ensure_ascii=False) + "\n"
    write_text(folder / "metrics.json", text)
    scored = [split for split in SCORED if not (split == "dev" and results.params.refit)]
    write_predictions(folder / "predictions.csv", features, {split: predictions[split] for split in scored})
    write_confusion(folder / "plots" / "confusion.csv", features, predictions["test"])
    draw(folder / "plots", results)

    seeds = ", ".join(map(str, trained.weights))
    network = trained.card.params.network.kind
    print(f"\n{model}: {network} on {' + '.join(trained.card.dims)} of {features_path}, seeds {seeds}")
    print()
    print(describe("test", results.test))
    print()
    print(refitted(results) if results.params.refit else describe("dev", results.dev))
    print()
    for seed, found in predictions["dev"].items():
        only, *others = np.unique(found.label)
        if not others and len({*features.label[found.row].tolist()} - {UNLABELLED}) > 1:
            print(
                f"seed {seed} predicts nothing but {features.label_names[only]}: it has learned nothing;"
                " docs/troubleshooting.md says what to try"
            )
    if results.test_best_epoch:
        best = f"{results.test_best_epoch_weighted_f1:.2f}"
        print(
            f"test_best_epoch: weighted F1 {best} on test, were the epoch chosen on test (the authors' rule)"
        )
    print(compare_with_simplest(results))
    if results.untrained:
        encoders = "; ".join(f"{name}: {results.encoders[name]}" for name in results.untrained)
        print(f"These figures say nothing about the method: {encoders}")
    print(f"feature file: {features_path}")


def predict_splits(model: TrainedModel, dialogues: Dialogues) -> dict[str, dict[int, Predictions]]:
    """Predictions by split and seed."""
    where = device()
    dialogues = dialogues.to(where)
    predictions: dict[str, dict[int, Predictions]] = {split: {} for split in SCORED}
    for seed in model.weights:
        network = model.network(seed).to(where)
        for split in SCORED:
            spans = dialogues.spans[split]
            predictions[split][seed] = predict(network, dialogues, spans, model.card.params)
    return predictions


def score_baselines(
    model: TrainedModel, features: Features, dialogues: Dialogues
) -> dict[str, dict[str, float]]:
    """Weighted F1 in percent of the simplest method on what the networks get; kept in the item store."""
    key = work_key(
        "baseline",
        code=result_digest("train.baseline"),
        versions=library_versions("numpy", "scipy", "scikit-learn"),
        features=training_digest(features),
        modalities=list(model.card.dims),
        unscaled=model.card.params.unscaled,
        refit=model.card.params.refit,
    )
    store = ItemStore(store_root(), "baseline")
    item = store.get(key)
    if item is None:
        found = baselines(dialogues, refit=model.card.params.refit)
        item = {"scores": np.array([json.dumps(found)])}
        store.put(key, item)
    scores: dict[str, dict[str, float]] = json.loads(str(item["scores"][0]))
    return {name: {split: percent(f1) for split, f1 in each.items()} for name, each in scores.items()}


def write_predictions(path: Path, features: Features, predictions: dict[str, dict[int, Predictions]]) -> None:
    """One row per split, seed and utterance; the label is empty where the utterance has none."""
    names = features.label_names

    def rows() -> Iterator[list[object]]:
        for split, runs in predictions.items():
            for seed, run in runs.items():
                for row, predicted, probability in zip(run.row, run.label, run.probability, strict=True):
                    label = features.label[row]
                    actual = "" if label == UNLABELLED else names[label]
                    shown = [f"{p:.6f}" for p in probability]
                    yield [features.id[row], split, actual, names[predicted], seed, *shown]

    write_csv(path, ["id", "split", "label", "prediction", "seed", *(f"p_{name}" for name in names)], rows())


def write_confusion(path: Path, features: Features, runs: dict[int, Predictions]) -> None:
    """One row per seed and labelled utterance, as DVC's confusion template reads it."""
    rows = [
        (features.label_names[label], features.label_names[predicted])
        for run in runs.values()
        for label, predicted in zip(features.label[run.row], run.label, strict=True)
        if label != UNLABELLED
    ]
    write_csv(path, ("actual", "predicted"), rows)


def draw(folder: Path, results: Results) -> None:
    """Write ``curves.png`` and ``confusion.png``; without test labels the matrix is of validation."""
    save_png(draw_curves(results.curve_arrays(), results.selected_epochs), folder / "curves.png")
    split = "test" if results.test else "dev"
    scores: SplitScores | None = getattr(results, split)
    assert scores is not None, "a model is only trained where dev is labelled"
    fonts = fonts_for(results.label_names)
    if fonts.lacking:
        print(
            f"evaluate: no font here has {''.join(sorted(fonts.lacking)[:SHOWN])}, so confusion.png"
            " has numbers, from 0, of such classes; install one that has them, such as Noto Sans CJK"
        )
    matrix = draw_confusion(scores.confusion, fonts.drawable(results.label_names), split)
    save_png(matrix, folder / "confusion.png")
