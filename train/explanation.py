"""The heatmap of one utterance of a feature file, by a trained model."""

from __future__ import annotations

import difflib
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.features.content import UNLABELLED, Features
from pipeline.features.file import read_features
from pipeline.report.charts import save_png
from train.attention import attention_maps
from train.compatibility import check_same_encoders
from train.data import Dialogues
from train.heatmaps import Line, draw_heatmap
from train.loop import predict
from train.model import TrainedModel, load_model


def explain_utterance(
    features_file: Path, model_folder: Path, utterance: str, seed: int | None, output: Path
) -> tuple[str, list[str]]:
    """Draw the heatmap as PNG; what the model predicts, in words, and notes.

    seed: which of the model's networks, its first if None.  UserError if there is no such seed or
    utterance, or if the features were made by other encoders than the model's.
    """
    model = load_model(model_folder)
    seed = _choose_seed(model, seed)
    features = read_features(features_file, list(model.card.dims))
    notes = check_same_encoders(features, features_file, model.card)
    row = _find_utterance(features, utterance)
    return _draw(model, seed, features, row, output), notes


def _draw(model: TrainedModel, seed: int, features: Features, row: int, output: Path) -> str:
    """Draw the utterance's heatmap; what the model predicts and what is annotated, in words."""
    dialogues = Dialogues.from_features(features, model.standardisation)
    span = next(span for part in dialogues.spans.values() for span in part if row in span)
    network = model.network(seed)
    maps = attention_maps(network, dialogues, span)
    chosen = row - span.start
    probability = predict(network, dialogues, [span], model.card.params).probability[chosen]
    best = int(probability.argmax())
    said = f"predicted {model.card.label_names[best]} ({probability[best]:.2f})"
    if features.label[row] != UNLABELLED:
        said += f", labelled {features.label_names[features.label[row]]}"
    heads = next(iter(maps.values())).shape[1]
    figure = draw_heatmap(
        f"What {features.id[row]} attends to",
        f"{said}   ·   model of {model.card.corpus}, seed {seed}, mean over {heads} heads"
        "   ·   hatched: not observed",
        [Line(str(features.speaker[place]), str(features.text[place])) for place in span],
        chosen,
        {pair: weights[:, :, chosen].mean(dim=1).numpy() for pair, weights in maps.items()},
        {name: modality.observed[span.start : span.stop] for name, modality in features.modalities.items()},
    )
    save_png(figure, output, dpi=150)
    return said


def _choose_seed(model: TrainedModel, seed: int | None) -> int:
    seeds = list(model.weights)
    if seed is None:
        return seeds[0]
    if seed not in seeds:
        raise UserError(f"--seed {seed}: the model has the seeds {', '.join(map(str, seeds))}")
    return seed


def _find_utterance(features: Features, utterance: str) -> int:
    found = np.flatnonzero(features.id == utterance)
    if not len(found):
        close = difflib.get_close_matches(utterance, features.id.tolist(), n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise UserError(f"--utterance {utterance}: the file has no such utterance{hint}")
    return int(found[0])
