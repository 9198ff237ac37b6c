"""MELD's emotions from text alone, by the whole chain and without pretrained weights.

    python -m benchmarks.text_meld <folder with MELD's *_sent_emo.csv>

Runs the stages from manifest to evaluate with ``modalities: [text]`` and a small RoBERTa trained from
scratch, and prints its weighted F1 beside that of logistic regressions over bags of words.  Whatever can be
chosen is chosen on validation: the epochs, the regressions' strength.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from benchmarks.measure import run_stage
from benchmarks.training import utterances_of_meld
from pipeline.corpora.annotations.corpus import SPLITS
from pipeline.store.code import PROJECT

STAGES = ("manifest", "weights", "finetune", "text", "features", "train", "evaluate")
# With nothing learned elsewhere, and ten thousand lines to learn from, a small network without context
# does best: context made it worse on validation.
CHANGES: dict[str, dict[str, Any]] = {
    "window": {"past_utterances": 0, "future_utterances": 0, "max_tokens": 64},
    "finetune": {"epochs": 6, "batch_utterances": 32, "learning_rate": 5e-4},
    "text": {
        "encoder": {
            "kind": "transformers",
            "weights": "untrained",
            "untrained": {"hidden_size": 128, "layers": 2, "heads": 4, "vocabulary": 4000, "dropout": 0.3},
        },
    },
}
MODEL = {
    "features": "data/meld/features.h5",
    "network": {"kind": "multiemo", "layers": 1},
    "epochs": 8,
    "batch_dialogues": 16,
    "learning_rate": 1e-3,
}
BAGS = {
    "words": CountVectorizer(),
    "words, pairs of words and punctuation": TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+|[!?.]+"),
}


def main(root: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary)
        write_params(project, root)
        for stage in STAGES:
            print(f"{stage}: {run_stage(project, stage, 'meld', shown=True):.0f} s", flush=True)
        written = project / "data" / "models" / "meld" / "metrics.json"
        metrics = json.loads(written.read_text(encoding="utf-8"))
    figures = {split: f"{metrics[split]['weighted_f1']:.2f}" for split in ("dev", "test")}
    print(f"weighted F1, RoBERTa from scratch: {figures['dev']} on validation, {figures['test']} on test")
    for name, bag in BAGS.items():
        dev, test = bag_of_words(root, bag)
        print(f"weighted F1, logistic regression over {name}: {dev:.2f} on validation, {test:.2f} on test")


def write_params(project: Path, root: Path) -> None:
    yaml = YAML(typ="safe")
    params = yaml.load(PROJECT / "params.yaml")
    meld = params["corpora"].pop("demo") | {"root": str(root.absolute()), "modalities": ["text"]}
    for section, changes in CHANGES.items():
        meld[section] |= changes
    params |= {"corpora": {"meld": meld}, "models": {"meld": MODEL}}
    with (project / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(params, file)


def bag_of_words(root: Path, bag: CountVectorizer) -> tuple[float, float]:
    """Weighted F1 in percent on validation and test, of the strength that validation likes best."""
    utterances = utterances_of_meld(root)
    texts, labels = (
        {split: [getattr(row, name) for row in utterances if row.split == split] for split in SPLITS}
        for name in ("text", "label")
    )
    counts = {"train": bag.fit_transform(texts["train"])}
    counts |= {split: bag.transform(texts[split]) for split in ("dev", "test")}
    scores = []
    for strength in (0.1, 0.3, 1, 3, 10):
        model = LogisticRegression(C=strength, max_iter=300)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that 300 steps were too few for the weakest regularisation
            model.fit(counts["train"], labels["train"])
        dev, test = (
            100 * f1_score(labels[split], model.predict(counts[split]), average="weighted")
            for split in ("dev", "test")
        )
        scores.append((dev, test))
    return max(scores)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
