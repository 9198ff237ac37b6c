"""Predictions of a trained model for a feature file, labelled or not.

Each seed of the model gives probabilities, and their mean is the prediction.  Class names,
standardisation and modalities are the model's own.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.features.file import UNLABELLED, Features, read_features
from pipeline.runtime import device
from pipeline.store.atomic import write_atomically
from train.compatibility import check_same_encoders
from train.data import Dialogues
from train.loop import Predictions, predict
from train.model import TrainedModel, load_model

COLUMNS = ("id", "split", "dialogue", "position", "speaker", "label", "prediction")


class Prediction(NamedTuple):
    """What was done, in words."""

    summary: str
    notes: list[str]
    """What the reader of the predictions should know."""


def predict_file(features_file: Path, model_folder: Path, output: Path) -> Prediction:
    """Write the predictions of a feature file as CSV, a row for each utterance, in the file's order.

    UserError if the features were made by other encoders than the model's.
    """
    model = load_model(model_folder)
    features = read_features(features_file, list(model.card.dims))
    notes = check_same_encoders(features, features_file, model.card)
    predictions = predict_utterances(model, features)
    write_atomically(output, _table(features, model.card.label_names, predictions).encode())
    unseen = ~np.any([modality.observed for modality in features.modalities.values()], axis=0)
    if unseen.any():
        notes.append(f"of {unseen.sum()} utterances nothing was observed, only their context")
    seeds = ", ".join(map(str, model.weights))
    count = len(predictions.row)
    return Prediction(f"{count} utterances, by the model of {model.card.corpus}, seeds {seeds}", notes)


def predict_utterances(model: TrainedModel, features: Features) -> Predictions:
    """Probabilities of all utterances in the file's order, averaged over the model's seeds."""
    where = device()
    dialogues = Dialogues.from_features(features, model.standardisation).to(where)
    spans = sorted((span for part in dialogues.spans.values() for span in part), key=lambda span: span.start)
    runs = [
        predict(model.network(seed).to(where), dialogues, spans, model.card.params) for seed in model.weights
    ]
    order = np.argsort(runs[0].row)
    probability = np.mean([run.probability for run in runs], axis=0)
    return Predictions(runs[0].row[order], probability[order])


def _table(features: Features, names: tuple[str, ...], predictions: Predictions) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *(f"p_{name}" for name in names)])
    for row, best, probability in zip(
        predictions.row, predictions.label, predictions.probability, strict=True
    ):
        label = features.label[row]
        writer.writerow([
            *(getattr(features, column)[row] for column in COLUMNS[:5]),
            "" if label == UNLABELLED else features.label_names[label],
            names[best],
            *(f"{p:.6f}" for p in probability),
        ])  # fmt: skip
    return text.getvalue()
