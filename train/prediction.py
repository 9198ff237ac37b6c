"""Predictions of a trained model for a feature file, labelled or not.

Each seed of the model gives probabilities, and their mean is the prediction.  Class names,
standardisation and modalities are the model's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.features.content import SPLITS, UNLABELLED, Features
from pipeline.features.file import read_features
from pipeline.runtime import device
from pipeline.store.atomic import write_csv
from pipeline.transcripts.writing import write_recordings
from train.compatibility import check_same_encoders
from train.data import Dialogues
from train.loop import Predictions, predict
from train.metrics import compute_metrics
from train.model import TrainedModel, load_model
from train.recordings import as_recordings, read_films

CSV = ".csv"
COLUMNS = (
    *("id", "split", "dialogue", "position", "speaker", "start_s", "end_s", "text"),
    *("observed", "label", "prediction"),
)
"""``observed`` are modalities; then follows the probability of each class."""


class Prediction(NamedTuple):
    """What was done, in words."""

    summary: str
    scores: list[str]
    """Weighted F1 of each split that has labels."""
    notes: list[str]
    """What the reader of the predictions should know."""


def predict_file(features_file: Path, model_folder: Path, output: Path) -> Prediction:
    """Write the predictions of a feature file, in the form that the suffix of ``output`` says.

    UserError if the features were made by other encoders than the model's.
    """
    model = load_model(model_folder)
    features = read_features(features_file, list(model.card.dims))
    notes = check_same_encoders(features, features_file, model.card)
    predictions = predict_utterances(model, features)
    names, count = model.card.label_names, len(predictions.row)
    scores, unknown = score_labelled(features, names, predictions)
    if unknown:
        notes.append(
            f"labels that are no classes of the model ({', '.join(names)}) are not scored:"
            f" {', '.join(unknown)}"
        )
    if scores and features.digest == model.card.features_sha256:
        notes.append("train and dev are what the model was trained and chosen on; test alone is new to it")
    summary = f"{count} utterances, by {describe_model(model)}"
    if output.suffix.lower() == CSV:
        write_predictions(output, features, names, predictions)
    else:
        films = read_films(features_file)
        recordings, untimed = as_recordings(features, predictions, names, describe_model(model), films)
        written = write_recordings(output, recordings)
        if untimed:
            notes.append(
                f"{len(untimed)} utterances of clips whose length is unknown, such as {untimed[0]}, are in no"
                " file; -o NAME.csv has them"
            )
        summary += f"; {len(written)} files in {written[0].parent}" if len(written) > 1 else ""
    if unseen := count_unseen(features):
        notes.append(f"of {unseen} utterances nothing was observed, only their context")
    return Prediction(summary, scores, notes)


def score_labelled(
    features: Features, names: Sequence[str], predictions: Predictions
) -> tuple[list[str], list[str]]:
    """Weighted F1 of each split on the utterances whose label is one of the model's classes ``names``.

    Also which labels are none; they are compared by name, since another corpus has an order of its own.
    """
    place = {name: number for number, name in enumerate(names)}
    classes = np.array([place.get(name, UNLABELLED) for name in features.label_names] + [UNLABELLED])
    label = classes[features.label[predictions.row]]  # UNLABELLED is -1: the last one
    scores = []
    for split in SPLITS:
        scored = (features.split[predictions.row] == split) & (label != UNLABELLED)
        if count := int(scored.sum()):
            metrics = compute_metrics(label[scored], predictions.label[scored], names)
            scores.append(
                f"{split}: weighted F1 {100 * metrics.weighted_f1:.2f} over {count} labelled utterances"
            )
    found = {features.label_names[each] for each in features.label if each != UNLABELLED}
    return scores, sorted(found - set(names))


def describe_model(model: TrainedModel) -> str:
    """The model in words that tell it from others."""
    return f"the model of {model.card.corpus}, seeds {', '.join(map(str, model.weights))}"


def count_unseen(features: Features) -> int:
    """Utterances of which no modality was observed."""
    return int((~np.any([modality.observed for modality in features.modalities.values()], axis=0)).sum())


def predict_utterances(model: TrainedModel, features: Features) -> Predictions:
    """Probabilities of all utterances in the file's order, averaged over the model's seeds."""
    where = device()
    dialogues = Dialogues.from_features(features, model.standardisation).to(where)
    spans = [span for part in dialogues.spans.values() for span in part]
    runs = [
        predict(model.network(seed).to(where), dialogues, spans, model.card.params) for seed in model.weights
    ]
    return Predictions(runs[0].row, np.mean([run.probability for run in runs], axis=0))


def write_predictions(path: Path, features: Features, names: Sequence[str], predictions: Predictions) -> None:
    """Write a CSV file with a row for each utterance, in the features' order; ``names`` are the classes."""
    rows = []
    for row, best, probability in zip(
        predictions.row, predictions.label, predictions.probability, strict=True
    ):
        label = features.label[row]
        rows.append([
            *(getattr(features, column)[row] for column in COLUMNS[:5]),
            *(_seconds(column[row]) for column in (features.start_s, features.end_s)),
            features.text[row],
            " + ".join(name for name, modality in features.modalities.items() if modality.observed[row]),
            "" if label == UNLABELLED else features.label_names[label],
            names[best],
            *(f"{p:.6f}" for p in probability),
        ])  # fmt: skip
    write_csv(path, [*COLUMNS, *(f"p_{name}" for name in names)], rows)


def _seconds(time_s: float) -> str:
    return "" if np.isnan(time_s) else f"{time_s:.3f}"
