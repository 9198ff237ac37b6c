"""Stage evaluate: trained models on the validation and test splits -> metrics, predictions, confusion.

metrics.json             the figures that one quotes, for ``dvc metrics`` and ``dvc exp show``
predictions.csv          every utterance, by seed, with the probability of each class
plots/                   confusion matrix and curves, as tables for DVC and as images
../results/<model>.json  all figures: by seed, by class, with confusion matrices and curves
../results/<model>.csv   what each seed predicts on test, with words and speakers, for models to be compared
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.features.dialogues import training_digest
from pipeline.features.file import UNLABELLED, Features, read_features
from pipeline.params import RESULTS, read_params
from pipeline.report.bootstrap import bootstrap_scores, interval_of
from pipeline.report.charts import Curves, draw_confusion, draw_curves, read_curves, save_png
from pipeline.report.fonts import fonts_for
from pipeline.report.predicted import Predicted, write_predicted
from pipeline.report.results import (
    BestTestEpoch,
    BootstrapInterval,
    Results,
    SeedScores,
    SplitScores,
    write_results,
)
from pipeline.runtime import device, store_root
from pipeline.store.atomic import write_csv, write_text
from pipeline.store.code import result_digest
from pipeline.store.items import ItemStore
from pipeline.store.keys import library_versions, work_key
from train.baseline import baselines
from train.data import Dialogues
from train.loop import Predictions, predict
from train.metrics import Metrics, compute_metrics
from train.model import TrainedModel, load_model

SPLITS = ("dev", "test")
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
    scored = [split for split in SPLITS if not (split == "dev" and results.params.refit)]
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
    predictions: dict[str, dict[int, Predictions]] = {split: {} for split in SPLITS}
    for seed in model.weights:
        network = model.network(seed).to(where)
        for split in SPLITS:
            spans = dialogues.spans[split]
            predictions[split][seed] = predict(network, dialogues, spans, model.card.params)
    return predictions


def arrange(runs: dict[int, Predictions], spans: Sequence[range]) -> dict[int, Predictions]:
    """The predictions in the order of the spans, so that draws of dialogues hang on no name and no file."""
    rows = np.array([row for span in spans for row in span], np.int64)
    return {
        seed: Predictions(rows, run.probability[np.searchsorted(run.row, rows)]) for seed, run in runs.items()
    }


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
    return {name: {split: _percent(f1) for split, f1 in each.items()} for name, each in scores.items()}


def collect(
    model: TrainedModel,
    features: Features,
    predictions: dict[str, dict[int, Predictions]],
    name: str,
    curves: Curves,
    logistic_regression: dict[str, dict[str, float]],
) -> Results:
    """All figures of all seeds."""
    card = model.card
    return Results(
        model=name,
        corpus=features.corpus,
        label_names=features.label_names,
        modalities=tuple(card.dims),
        params=card.params,
        parameters=sum(
            each.numel() for each in model.network(min(model.weights)).parameters() if each.requires_grad
        ),
        encoder_kinds={
            each: str(encoder.get("kind", "")) if isinstance(encoder := settings.get("encoder"), dict) else ""
            for each, settings in card.settings.items()
        },
        encoders=card.encoders,
        curves={
            seed: {column: values.tolist() for column, values in columns.items()}
            for seed, columns in curves.items()
        },
        selected_epochs={seed: selected.epoch for seed, selected in card.selected.items()},
        selected_weighted_f1=_mean([selected.dev_weighted_f1 for selected in card.selected.values()]),
        test_best_epoch={
            seed: BestTestEpoch(
                epoch=selected.best_test_epoch, weighted_f1=_percent(selected.best_test_weighted_f1)
            )
            for seed, selected in card.selected.items()
            if selected.best_test_epoch is not None and selected.best_test_weighted_f1 is not None
        },
        logistic_regression=logistic_regression,
        dev=None if card.params.refit else score(features, predictions["dev"]),
        test=score(features, predictions["test"]),
    )


def score(features: Features, runs: dict[int, Predictions]) -> SplitScores | None:
    """Scores on the labelled utterances of a split; None if there are no such utterances."""
    rows = next(iter(runs.values())).row  # of every seed the same, in the same order
    labelled = features.label[rows] != UNLABELLED
    if not labelled.any():
        return None
    label, dialogue = features.label[rows][labelled], features.dialogue[rows][labelled]
    predicted = {seed: run.label[labelled] for seed, run in runs.items()}
    together = np.mean([run.probability[labelled] for run in runs.values()], axis=0).argmax(axis=1)
    ensemble = compute_metrics(label, together, features.label_names)
    metrics = [compute_metrics(label, found, features.label_names) for found in predicted.values()]
    scores = bootstrap_scores(label, list(predicted.values()), dialogue, len(features.label_names))
    interval = None if scores is None else interval_of(scores)
    confusion = np.sum([run.confusion for run in metrics], axis=0)
    return SplitScores(
        utterances=len(label),
        dialogues=len(np.unique(dialogue)),
        weighted_f1=_mean([run.weighted_f1 for run in metrics]),
        weighted_f1_std=_std([run.weighted_f1 for run in metrics]) if len(metrics) > 1 else None,
        weighted_f1_interval=(
            BootstrapInterval(low=_percent(interval.low), high=_percent(interval.high)) if interval else None
        ),
        ensemble_weighted_f1=_percent(ensemble.weighted_f1) if len(metrics) > 1 else None,
        macro_f1=_mean([run.macro_f1 for run in metrics]),
        accuracy=_mean([run.accuracy for run in metrics]),
        f1={name: _mean([run.f1[name] for run in metrics]) for name in features.label_names},
        f1_std=_f1_std(metrics, features.label_names) if len(metrics) > 1 else None,
        support=metrics[0].support,
        confusion=confusion.tolist(),
        seeds={
            seed: SeedScores(
                weighted_f1=_percent(run.weighted_f1),
                macro_f1=_percent(run.macro_f1),
                accuracy=_percent(run.accuracy),
            )
            for seed, run in zip(predicted, metrics, strict=True)
        },
    )


def _f1_std(metrics: Sequence[Metrics], names: Iterable[str]) -> dict[str, float]:
    return {name: _std([run.f1[name] for run in metrics]) for name in names}


def describe_predicted(features: Features, runs: dict[int, Predictions]) -> Predicted:
    """What models are compared by: all utterances of test, in the order of the runs."""
    rows = next(iter(runs.values())).row  # of every seed the same, in the same order
    names = np.array([*features.label_names, ""], object)  # UNLABELLED, -1, is the last
    label = features.label[rows]
    probability = np.stack([run.probability for run in runs.values()]).mean(axis=0, dtype=np.float64)
    return Predicted(
        id=features.id[rows],
        dialogue=features.dialogue[rows],
        speaker=features.speaker[rows],
        text=features.text[rows],
        label=names[label],
        p_label=np.where(label == UNLABELLED, np.nan, probability[np.arange(len(rows)), label]),
        predictions={seed: names[run.label] for seed, run in runs.items()},
    )


def headline(results: Results) -> dict[str, Any]:
    """What ``dvc metrics`` shows; splits without labels are left out."""
    shown: dict[str, Any] = {"untrained": ", ".join(results.untrained) or "nothing"}
    for split in reversed(SPLITS):
        scores: SplitScores | None = getattr(results, split)
        if scores is None:
            continue
        shown[split] = {"weighted_f1": scores.weighted_f1}
        if split == "test":
            shown[split] |= _spread(scores)
        shown[split] |= {"macro_f1": scores.macro_f1, "accuracy": scores.accuracy}
        if split == "test":
            shown[split] |= {"f1": scores.f1}
            if scores.ensemble_weighted_f1 is not None:
                shown["ensemble"] = {"weighted_f1": scores.ensemble_weighted_f1}
    split = "test" if results.test else "dev"
    shown["logistic_regression"] = {"weighted_f1": results.simplest[split]}
    if results.params.refit:  # before the network was trained on dev, too
        shown["dev"] = {"weighted_f1": results.selected_weighted_f1}
    if results.test_best_epoch:
        shown["test_best_epoch"] = {"weighted_f1": results.test_best_epoch_weighted_f1}
    return shown


def _spread(scores: SplitScores) -> dict[str, float]:
    """How sure weighted F1 is, as far as seeds and dialogues tell."""
    spread = {"weighted_f1_std": scores.weighted_f1_std}
    if scores.weighted_f1_interval is not None:
        low, high = scores.weighted_f1_interval.low, scores.weighted_f1_interval.high
        spread |= {"weighted_f1_low": low, "weighted_f1_high": high}
    return {name: value for name, value in spread.items() if value is not None}


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


def compare_with_simplest(results: Results) -> str:
    """What logistic regression on each utterance alone reaches, and whether the networks are any better."""
    networks = {split: getattr(results, split) for split in SPLITS}
    scored = {split: scores.weighted_f1 for split, scores in networks.items() if scores is not None}
    found = {
        name: " and ".join(f"{scores[split]:.2f} on {split}" for split in scored)
        for name, scores in results.logistic_regression.items()
    }
    *alone, together = found
    line = f"logistic regression on each utterance alone: weighted F1 {found[together]}"
    line += f" ({'; '.join(f'{name} {found[name]}' for name in alone)})" if alone else ""
    if any(
        all(scores[split] >= f1 for split, f1 in scored.items()) and min(scored.values()) < 100
        for scores in results.logistic_regression.values()
    ):
        line += "\nthe network is no better than that; docs/troubleshooting.md says what to try"
    return line


def refitted(results: Results) -> str:
    """What is said of dev where the networks were trained on it in the end."""
    epochs = ", ".join(map(str, results.selected_epochs.values()))
    return (
        f"dev: trained on, together with train, for {epochs} epochs, which were chosen on dev alone;"
        f" weighted F1 {results.selected_weighted_f1:.2f} there"
    )


def describe(split: str, scores: SplitScores | None) -> str:
    """The scores of a split as lines of text."""
    if scores is None:
        return f"{split}: no labelled utterance, so no metrics; the predictions are in predictions.csv"
    width = max(map(len, [*scores.support, "weighted F1"]))
    lines = [f"{split:<{width}}      F1  utterances"]
    lines += [f"{name:<{width}}  {f1:6.2f}  {scores.support[name]:10}" for name, f1 in scores.f1.items()]
    spread = "" if scores.weighted_f1_std is None else f" +- {scores.weighted_f1_std:.2f} over seeds"
    lines += [
        f"{'weighted F1':<{width}}  {scores.weighted_f1:6.2f}  {scores.utterances:10}{spread}",
        f"{'macro F1':<{width}}  {scores.macro_f1:6.2f}",
        f"{'accuracy':<{width}}  {scores.accuracy:6.2f}",
    ]
    if scores.ensemble_weighted_f1 is not None:
        lines.append(
            f"{'ensemble':<{width}}  {scores.ensemble_weighted_f1:6.2f}  (weighted F1 of all seeds as one)"
        )
    if scores.weighted_f1_interval is not None:
        low, high = scores.weighted_f1_interval.low, scores.weighted_f1_interval.high
        dialogues = f"bootstrap over {scores.dialogues} dialogues"
        lines.append(f"95 % interval of weighted F1: {low:.2f} to {high:.2f} ({dialogues})")
    return "\n".join(lines)


def _mean(fractions: list[float]) -> float:
    return _percent(statistics.fmean(fractions))


def _std(fractions: list[float]) -> float:
    return _percent(statistics.stdev(fractions))


def _percent(fraction: float) -> float:
    return round(100 * fraction, 2)
