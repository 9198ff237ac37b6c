"""``multiemo predict``: a trained model's emotions for a feature file, labelled or not.

Each seed of the model gives probabilities, and their mean is the prediction.  Class names,
standardisation and modalities are the model's own.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from pathlib import Path

import numpy as np

from pipeline.features import UNLABELLED, Features, read_features
from pipeline.h5 import write_atomically
from pipeline.runtime import device
from train.compatibility import check_same_encoders
from train.data import Dialogues
from train.loop import Predictions, predict
from train.model import TrainedModel, load_model

COLUMNS = ("id", "split", "dialogue", "position", "speaker", "label", "prediction")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``multiemo predict``."""
    parser.description = (
        "Predict the emotion of every utterance of a feature file, with probabilities: the mean over the\n"
        "model's seeds. The features must come from the same encoders as those that the model was trained\n"
        "on; docs/commands.md says how to make such a file of your own recordings."
    )
    parser.add_argument("features", type=Path, help="a features.h5; labels are not needed")
    parser.add_argument("--model", type=Path, required=True, help="folder of a trained model")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the CSV file to write")
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    model = load_model(given.model)
    features = read_features(given.features, list(model.card.dims))
    for note in check_same_encoders(features, given.features, model.card):
        print(f"note: {note}", file=sys.stderr)
    predictions = predict_utterances(model, features)
    write_atomically(given.output, _table(features, model.card.label_names, predictions).encode())
    seeds = ", ".join(map(str, model.weights))
    count = len(predictions.row)
    print(f"{given.output}: {count} utterances, by the model of {model.card.corpus}, seeds {seeds}")
    unseen = ~np.any([modality.observed for modality in features.modalities.values()], axis=0)
    if unseen.any():
        print(f"note: of {unseen.sum()} utterances nothing was observed, only their context", file=sys.stderr)
    return 0


def predict_utterances(model: TrainedModel, features: Features) -> Predictions:
    """Probabilities of all utterances in the file's order, averaged over the model's seeds."""
    where = device()
    dialogues = Dialogues.from_features(features, model.standardisation).to(where)
    spans = sorted((span for part in dialogues.spans.values() for span in part), key=lambda span: span.start)
    runs = [
        predict(model.network(seed).to(where), dialogues, spans, model.card.train.batch_dialogues)
        for seed in model.weights
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
