"""Scores of a trained model's predictions: all seeds on a split, and all that its results hold."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from pipeline.features.content import UNLABELLED, Features
from pipeline.report.bootstrap import bootstrap_scores, interval_of
from pipeline.report.predicted import Predicted
from pipeline.report.results import BestTestEpoch, BootstrapInterval, Results, SeedScores, SplitScores
from train.loop import Predictions
from train.metrics import Metrics, compute_metrics
from train.model import TrainedModel


def collect(
    model: TrainedModel,
    features: Features,
    predictions: dict[str, dict[int, Predictions]],
    name: str,
    curves: Mapping[int, Mapping[str, np.ndarray]],
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
                epoch=selected.best_test_epoch, weighted_f1=percent(selected.best_test_weighted_f1)
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
            BootstrapInterval(low=percent(interval.low), high=percent(interval.high)) if interval else None
        ),
        ensemble_weighted_f1=percent(ensemble.weighted_f1) if len(metrics) > 1 else None,
        macro_f1=_mean([run.macro_f1 for run in metrics]),
        accuracy=_mean([run.accuracy for run in metrics]),
        f1={name: _mean([run.f1[name] for run in metrics]) for name in features.label_names},
        f1_std=_f1_std(metrics, features.label_names) if len(metrics) > 1 else None,
        support=metrics[0].support,
        confusion=confusion.tolist(),
        seeds={
            seed: SeedScores(
                weighted_f1=percent(run.weighted_f1),
                macro_f1=percent(run.macro_f1),
                accuracy=percent(run.accuracy),
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


def arrange(runs: dict[int, Predictions], spans: Sequence[range]) -> dict[int, Predictions]:
    """The predictions in the order of the spans, so that draws of dialogues hang on no name and no file."""
    rows = np.array([row for span in spans for row in span], np.int64)
    return {
        seed: Predictions(rows, run.probability[np.searchsorted(run.row, rows)]) for seed, run in runs.items()
    }


def _mean(fractions: list[float]) -> float:
    return percent(statistics.fmean(fractions))


def _std(fractions: list[float]) -> float:
    return percent(statistics.stdev(fractions))


def percent(fraction: float) -> float:
    """With two decimals, as people quote scores."""
    return round(100 * fraction, 2)
