"""What bfloat16 costs the trained model: weighted F1 of the paper's network in both precisions, seed by seed.

    python -m benchmarks.precision <folder with MELD's *_sent_emo.csv> <seeds> <epochs>

MELD's own words, speakers and labels; but no modality has been seen or heard: each is another bag of the
words, of its modality's width, so that all of the network has something to learn from.  The epoch is
chosen on validation, as the stage does it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from benchmarks.measure import machine
from benchmarks.training import DIMS, PRECISIONS, as_features, utterances_of_meld
from pipeline.corpora.annotations.labels import MELD
from pipeline.features.content import Features
from pipeline.features.standardisation import fit_standardisation
from pipeline.params import Kind, ModelParams
from pipeline.runtime import device
from train.data import Dialogues
from train.loop import predict, train_seed
from train.metrics import Metrics, compute_metrics
from train.networks import build_network
from train.run import TrainingRun

BAGS = {
    "text": TfidfVectorizer(max_features=DIMS["text"]),
    "audio": TfidfVectorizer(max_features=DIMS["audio"], ngram_range=(1, 2)),
    "visual": TfidfVectorizer(max_features=DIMS["visual"], analyzer="char_wb", ngram_range=(2, 4)),
}
LAYERS = 6
# Three times the paper's rate, and z normalised in SWFC, because there is not the time for a hundred epochs.
PARAMS = ModelParams(
    features="bags of words",
    network=Kind(kind="multiemo", layers=LAYERS, loss={"normalise_z": True}),
    learning_rate=3e-4,
)


def main(annotations: Path, seeds: int, epochs: int) -> None:
    features = bags_of_meld(annotations)
    dialogues = Dialogues.from_features(features, fit_standardisation(features, list(DIMS))).to(device())
    print(f"{LAYERS} layers, {epochs} epochs, {seeds} seeds; {device()}; {machine()}")
    for precision in PRECISIONS:
        params = PARAMS.model_copy(update={"precision": precision, "epochs": epochs})
        start = time.perf_counter()
        f1 = np.array([[*f1_of_seed(dialogues, params, seed)] for seed in range(seeds)]) * 100
        seconds = time.perf_counter() - start
        for split, values in zip(("validation", "test"), f1.T, strict=True):
            print(
                f"{precision}, {split}: weighted F1 {values.mean():.2f}, standard deviation"
                f" {values.std(ddof=1):.2f} (" + ", ".join(f"{value:.2f}" for value in values) + ")"
            )
        print(f"{precision}: {seconds / seeds / epochs:.1f} s an epoch, with validation and test", flush=True)


def f1_of_seed(dialogues: Dialogues, params: ModelParams, seed: int) -> tuple[float, float]:
    """Weighted F1 on validation and test, from 0 to 1."""
    run = train_seed(dialogues, params, seed)
    return run.selected.dev_weighted_f1, metrics_of_run(dialogues, params, run).weighted_f1


def metrics_of_run(dialogues: Dialogues, params: ModelParams, run: TrainingRun) -> Metrics:
    """On test, from 0 to 1."""
    dims = {name: table.shape[1] for name, table in dialogues.features.items()}
    network = build_network(params.network, dims, dialogues.class_counts).to(dialogues.label.device)
    network.load_state_dict(run.weights)
    predictions = predict(network, dialogues, dialogues.spans["test"], params)
    label = dialogues.label.cpu().numpy()[predictions.row]
    return compute_metrics(label, predictions.label, MELD)


def bags_of_meld(annotations: Path) -> Features:
    """All three splits, with bags of words for features."""
    utterances = utterances_of_meld(annotations)
    texts = [row.text for row in utterances]
    train = [row.text for row in utterances if row.split == "train"]
    bags = {name: bag.fit(train).transform(texts).toarray() for name, bag in BAGS.items()}
    return as_features(utterances, {name: bag.astype(np.float32) for name, bag in bags.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
