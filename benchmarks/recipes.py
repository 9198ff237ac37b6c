"""What each difference between the paper's text and its authors' code is worth, on real utterances.

    python -m benchmarks.recipes MELD VIEWS [--seeds 5 | --folds 5] [--row "z as it is"] [--runs runs.jsonl]

MELD holds MELD's *_sent_emo.csv, VIEWS is an .npz of ``id`` [N] and features [N, D] of any modalities.
Each row is a recipe with one thing changed; the epoch is chosen on validation, and the test split is only
looked at.  Runs are kept in the file of --runs, by whose lines a benchmark that was stopped goes on.

MELD's validation split has 1,109 utterances, too few to tell recipes apart by a point.  With --folds the
dialogues of train and dev are parted anew, and each part in turn is validation: all 11,098 have a say.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed

from benchmarks.measure import machine
from benchmarks.precision import metrics_of_run
from benchmarks.views import features_of_views
from pipeline.features.content import Features
from pipeline.features.dialogues import training_digest
from pipeline.features.standardisation import fit_standardisation
from pipeline.params import ModelParams
from stages.train import describe_training, run_key, with_defaults
from train.baseline import logistic_regression
from train.data import Dialogues
from train.loop import train_seed
from train.networks import find_network, merge, with_recipe


def network(**changes: Any) -> dict[str, Any]:
    return {"network": {"kind": "multiemo", **changes}}


def loss(**changes: Any) -> dict[str, Any]:
    return network(loss=changes)


Runs = Mapping[int, dict[str, Any]]
"""What ``run_seed`` gives, by seed, which is the number of the fold where there are folds."""

SPLITS = ("dev", "test")
AUTHORS = {"recipe": "authors-meld"}
# The differences in the order of docs/experiments.md; each is taken back to the paper's text by itself.
ROWS: dict[str, dict[str, Any]] = {
    "authors-meld": {},
    "6 layers": network(layers=6),
    "weights 0.4, 0.3, 0.3": loss(swfc_weight=0.4, soft_hgr_weight=0.3),
    "tau 0.8, alpha 0.8": loss(temperature=0.8, sample_weight_exponent=0.8),
    "dropout 0.1": network(dropout=0.1),
    "betas 0.9, 0.99; step; l2 1e-5": {"adam_betas": [0.9, 0.99], "schedule": "step", "l2": 1e-5},
    "z as it is": loss(normalise_z=False),
    "class weights of the batch": loss(class_weights="batch"),
    "Soft-HGR as printed": loss(soft_hgr="paper"),
    "DialogueRNN in both directions": network(dialogue_rnn={"directions": "both"}),
    "general attention": network(dialogue_rnn={"attention": "general"}),
    "no ReLU after it": network(dialogue_rnn={"output": "states"}),
    "MLP of width 256": network(mlp_size=256),
    "attention without bias": network(attention_bias=False),
    "audio to 512, visual as it is": network(reduced_sizes={"audio": 512}),
    "standardised": {"unscaled": []},
    "refit on train and dev": {"refit": True},
    "no SWFC, no Soft-HGR": loss(swfc_weight=0.0, soft_hgr_weight=0.0),
    "paper": {"recipe": "paper", "epochs": 15},
    "default": {"recipe": None},
    "default, refit on train and dev": {"recipe": None, "refit": True},
}
SIMPLEST = "logistic regression"
"""A row of its own: on each utterance alone, features as they are."""


def main(meld: Path, views: Path, seeds: int, folds: int | None, rows: list[str], kept: Path) -> None:
    entries = {row: merge(AUTHORS, ROWS[row]) for row in rows if row != SIMPLEST}
    features = features_of_views(meld, views)
    sets = folds_of(features, folds) if folds else [features] * seeds
    runs = run_all(sets, entries, kept)
    if SIMPLEST in rows:
        scores = [simplest(each) for each in (sets if folds else sets[:1])]  # of any seed the same
        runs += [{"row": SIMPLEST, "seed": seed, **scores[seed % len(scores)]} for seed in range(len(sets))]
    print_table(rows, runs)


def folds_of(features: Features, count: int) -> list[Features]:
    """The features ``count`` times, each with another part of the dialogues of train and dev as dev."""
    trained = np.isin(features.split, ("train", "dev"))
    dialogues = list(dict.fromkeys(features.dialogue[trained]))
    order = np.random.default_rng(0).permutation(len(dialogues))
    part = {dialogues[place]: number % count for number, place in enumerate(order)}
    place = np.array([part.get(dialogue, -1) for dialogue in features.dialogue])
    return [
        replace(features, split=np.where(trained, np.where(place == number, "dev", "train"), features.split))
        for number in range(count)
    ]


def run_all(sets: list[Features], entries: Mapping[str, dict[str, Any]], kept: Path) -> list[dict[str, Any]]:
    """The runs of every row's entry with a seed on each of ``sets``, those that are kept among them."""
    learnt_from = [training_digest(features) for features in sets]
    keys = {
        (row, seed): key_of(features, learnt_from[seed], entries[row], seed)
        for row in entries
        for seed, features in enumerate(sets)
    }
    lines = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    runs = [line for line in lines if line.get("key") == keys.get((line["row"], line["seed"]))]
    done = {(run["row"], run["seed"]) for run in runs}
    jobs = [job for job in keys if job not in done]
    print(f"{len(jobs)} runs to do, {len(done)} done; {machine()}", flush=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    parallel = Parallel(n_jobs=-1, return_as="generator_unordered")
    for run in parallel(delayed(run_seed)(sets[seed], row, entries[row], seed) for row, seed in jobs):
        runs.append(run | {"key": keys[run["row"], run["seed"]]})
        with kept.open("a") as file:
            file.write(json.dumps(runs[-1]) + "\n")
        print(f"{run['row']}, {run['seed']}: dev {run['dev']:.2f}, test {run['test']:.2f}", flush=True)
    return runs


def key_of(features: Features, learnt_from: str, entry: dict[str, Any], seed: int) -> str:
    """That of the item store: a kept run of other features, params or code is none of these."""
    params = params_of(entry)
    network = find_network(params.network, "row.network")
    card = describe_training(features, with_defaults(params, network, features))
    return run_key(card, learnt_from, seed, "cpu")


def params_of(entry: dict[str, Any]) -> ModelParams:
    return with_recipe(ModelParams.model_validate({"features": "views", **entry}), "row")


def run_seed(features: Features, row: str, entry: dict[str, Any], seed: int) -> dict[str, Any]:
    """Weighted F1 in percent on dev and test, that of each class, and the epoch, of one training."""
    torch.set_num_threads(1)
    params = params_of(entry)
    names = list(features.modalities)
    dialogues = Dialogues.from_features(features, fit_standardisation(features, names, params.unscaled))
    run = train_seed(dialogues, params, seed)
    test = metrics_of_run(dialogues, params, run)
    best_on_test = run.test_best.weighted_f1 if run.test_best else float("nan")
    return {
        "row": row,
        "seed": seed,
        "dev": 100 * run.selected.dev_weighted_f1,
        "test": 100 * test.weighted_f1,
        "test by class": {name: 100 * f1 for name, f1 in test.f1.items()},
        "epoch": run.selected.epoch,
        "best on test": 100 * best_on_test,
    }


def simplest(features: Features) -> dict[str, float]:
    """Weighted F1 in percent of a logistic regression on all modalities; its penalty is chosen on dev."""
    names = list(features.modalities)
    dialogues = Dialogues.from_features(features, fit_standardisation(features, names, names))
    found = logistic_regression(dialogues, names, refit=False)
    return {split: 100 * found[split] for split in SPLITS}


def print_table(rows: list[str], runs: list[dict[str, Any]]) -> None:
    """A line per row: mean and standard deviation over seeds, and the differences from the first row.

    A difference is the mean over the seeds that both have.  Its standard error takes the variance over seeds
    from all rows together, as a few seeds of one row say little about it.
    """
    by_row = {row: {run["seed"]: run for run in runs if run["row"] == row} for row in rows}
    base = by_row[rows[0]]
    print("\n| | seeds | dev | difference | test | difference | epochs |\n|---|---|---|---|---|---|---|")
    pooled = {split: pooled_deviation(split, base, by_row.values()) for split in SPLITS}
    for row, found in by_row.items():
        cells = [row, str(len(found))]
        for split in SPLITS:
            apart = differences(split, base, found)
            cells.append(spread([run[split] for run in found.values()]))
            error = pooled[split] / len(apart) ** 0.5 if apart else 0.0
            cells.append(f"{np.mean(apart):+.1f} ± {error:.1f}" if apart and found is not base else "")
        cells.append(", ".join(str(found[seed].get("epoch", "")) for seed in sorted(found)))
        print(f"| {' | '.join(cells)} |")


def differences(split: str, base: Runs, found: Runs) -> list[float]:
    """Of each seed that both have."""
    return [found[seed][split] - base[seed][split] for seed in found if seed in base]


def pooled_deviation(split: str, base: Runs, rows: Iterable[Runs]) -> float:
    """Of a row's differences over seeds, one for all rows; no number where none has two seeds."""
    apart = [differences(split, base, found) for found in rows if found is not base]
    squares = sum(np.var(each) * len(each) for each in apart if each)
    freedom = sum(len(each) - 1 for each in apart if each)
    return float(np.sqrt(squares / freedom)) if freedom else float("nan")


def spread(values: list[float]) -> str:
    """Mean and sample standard deviation."""
    return f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("meld", type=Path)
    parser.add_argument("views", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folds", type=int, help="parts of train and dev, in place of seeds")
    parser.add_argument(
        "--row", action="append", choices=[*ROWS, SIMPLEST], help="one of the rows; may be repeated"
    )
    parser.add_argument("--runs", type=Path, default=Path("data/recipes.jsonl"))
    given = parser.parse_args()
    rows = given.row or [*ROWS, SIMPLEST]
    main(given.meld, given.views, given.seeds, given.folds, rows, given.runs)
