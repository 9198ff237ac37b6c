"""``data/models/results/<model>.csv``: what each seed of a model predicts on test, by utterance.

A row for each utterance, whole dialogues in their order; one without a label is context of the others.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import reading_output
from pipeline.store.atomic import write_csv

COLUMNS = ("id", "dialogue", "speaker", "text", "label", "p_label")


@dataclass(frozen=True)
class Predicted:
    """n utterances of the test split; names and words are str arrays of objects."""

    id: np.ndarray
    dialogue: np.ndarray
    speaker: np.ndarray
    text: np.ndarray
    label: np.ndarray
    """Empty where there is none."""
    p_label: np.ndarray
    """float64: the probability of the label, averaged over seeds; NaN where there is none."""
    predictions: dict[int, np.ndarray]
    """By seed: the class that it predicts."""

    @property
    def labelled(self) -> np.ndarray:
        """bool [n]"""
        return self.label != ""


def write_predicted(path: Path, predicted: Predicted) -> None:
    """Write the file, and its folder if need be."""
    p_label = ["" if np.isnan(p) else f"{p:.6f}" for p in predicted.p_label]
    columns = (
        predicted.id,
        predicted.dialogue,
        predicted.speaker,
        predicted.text,
        predicted.label,
        p_label,
    )
    header = [*COLUMNS, *(f"seed_{seed}" for seed in predicted.predictions)]
    write_csv(path, header, zip(*columns, *predicted.predictions.values(), strict=True))


def read_predicted(path: Path) -> Predicted:
    """Read the file; UserError if there is none or if another version wrote it."""
    with reading_output(path), path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
        columns = {name: np.array([row[place] for row in rows], object) for place, name in enumerate(header)}
        return Predicted(
            **{name: columns[name] for name in COLUMNS[:5]},
            p_label=np.array([float(p or "nan") for p in columns["p_label"]]),
            predictions={
                int(name.removeprefix("seed_")): column
                for name, column in columns.items()
                if name not in COLUMNS
            },
        )
