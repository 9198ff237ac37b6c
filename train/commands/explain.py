"""``multiemo explain``: what a trained model attends to when it reads one utterance."""

from __future__ import annotations

import argparse
import difflib
import io
import sys
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.features import UNLABELLED, Features, read_features
from pipeline.h5 import write_atomically
from train.attention import attention_maps
from train.compatibility import check_same_encoders
from train.data import Dialogues
from train.heatmaps import Line, draw_heatmap, save_png
from train.loop import predict
from train.model import TrainedModel, load_model


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``multiemo explain``."""
    parser.description = (
        "Draw the attention of each component of MultiAttn for one utterance: how much it takes from each\n"
        "utterance of the dialogue, by layer and by the modality that it looks at. The mean over the heads\n"
        "is shown; the brighter, the more. Grey: not observed, so it cannot be attended to."
    )
    parser.add_argument("features", type=Path, help="a features.h5")
    parser.add_argument("--model", type=Path, required=True, help="folder of a trained model")
    parser.add_argument("--utterance", required=True, metavar="ID", help="such as test_dia0_utt2")
    parser.add_argument("--seed", type=int, help="one of the model's seeds (default: its first)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the PNG file to write")
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> int:
    model = load_model(given.model)
    seed = _choose_seed(model, given.seed)
    features = read_features(given.features, list(model.card.dims))
    for note in check_same_encoders(features, given.features, model.card):
        print(f"note: {note}", file=sys.stderr)
    row = _find_utterance(features, given.utterance)
    said = _explain(model, seed, features, row, given.output)
    print(f"{given.output}: {given.utterance} {said}")
    return 0


def _explain(model: TrainedModel, seed: int, features: Features, row: int, output: Path) -> str:
    """Draw the utterance's heatmap; what the model predicts and what is annotated, in words."""
    dialogues = Dialogues.from_features(features, model.standardisation)
    span = next(span for part in dialogues.spans.values() for span in part if row in span)
    network = model.network(seed)
    maps = attention_maps(network, dialogues, span)
    chosen = row - span.start
    probability = predict(network, dialogues, [span], 1).probability[chosen]
    best = int(probability.argmax())
    said = f"predicted {model.card.label_names[best]} ({probability[best]:.2f})"
    if features.label[row] != UNLABELLED:
        said += f", labelled {features.label_names[features.label[row]]}"
    figure = draw_heatmap(
        f"What {features.id[row]} attends to",
        f"{said}   ·   model of {model.card.corpus}, seed {seed}, mean over {model.card.train.heads} heads"
        "   ·   grey: not observed",
        [Line(str(features.speaker[place]), str(features.text[place])) for place in span],
        chosen,
        {pair: weights[:, :, chosen].mean(dim=1).numpy() for pair, weights in maps.items()},
        {name: modality.observed[span.start : span.stop] for name, modality in features.modalities.items()},
    )
    image = io.BytesIO()
    save_png(figure, image)
    write_atomically(output, image.getvalue())
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
