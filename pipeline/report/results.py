"""``data/models/results/<model>.json``: all that evaluation found of one model, for the comparison to read.

Scores are percentages with two decimals, as people quote them.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Annotated

import numpy as np
from pydantic import Field, ValidationError

from pipeline.errors import UserError, reading_output
from pipeline.features.cautions import is_untrained
from pipeline.params import ModelParams, Section
from pipeline.store.atomic import write_text

# JSON has lists only; strict mode would refuse them where the field is a tuple.
Names = Annotated[tuple[str, ...], Field(strict=False)]


SCORED = ("dev", "test")
"""Of which there are scores."""

# By the kind of the visual encoder; of others the paper has no figure.
_VISEXTNET = {"resnet": True, "scene": False}


class SeedScores(Section):
    """One training run on one split."""

    weighted_f1: float
    macro_f1: float
    accuracy: float


class BootstrapInterval(Section):
    """95 % confidence interval of the mean weighted F1, by pipeline/report/bootstrap.py."""

    low: float
    high: float


class SplitScores(Section):
    """All seeds on the labelled utterances of one split; scores are means over seeds."""

    utterances: int
    dialogues: int
    weighted_f1: float
    weighted_f1_std: float | None
    """Sample standard deviation over seeds; None where there is one seed."""
    weighted_f1_interval: BootstrapInterval | None
    """None where there is one dialogue."""
    ensemble_weighted_f1: float | None
    """Of all seeds as one: their probabilities are averaged; None where there is one seed."""
    macro_f1: float
    accuracy: float
    f1: dict[str, float]
    """By class."""
    f1_std: dict[str, float] | None
    """By class, over seeds as that of weighted F1."""
    support: dict[str, int]
    """Utterances by class."""
    confusion: list[list[int]]
    """[classes][classes]: rows actual, columns predicted, summed over seeds."""
    seeds: dict[int, SeedScores]


class BestTestEpoch(Section):
    """By the authors' rule, the epoch of a seed with the best score on test: an optimistic figure."""

    epoch: int
    weighted_f1: float


class Results(Section):
    """Content of the file."""

    model: str
    """The entry of params.yaml."""
    corpus: str
    """Of the feature file."""
    label_names: Names
    modalities: Names
    """What the model sees."""
    params: ModelParams
    """With all that has a default."""
    parameters: Annotated[int, Field(ge=0)]
    """Numbers that training changes, of one network."""
    encoders: dict[str, str]
    """What made the features of each modality, in words."""
    encoder_kinds: dict[str, str]
    """Kind of the encoder of each modality; empty where the feature file does not tell."""
    curves: dict[int, dict[str, list[float]]]
    """By seed, the columns of curves.csv."""
    selected_epochs: dict[int, int]
    """By seed: the epoch chosen on validation."""
    selected_weighted_f1: float
    """Mean over seeds on validation at that epoch."""
    test_best_epoch: dict[int, BestTestEpoch]
    """By seed; empty where the test split has no labels, or dev was trained on in the end (``refit``).
    Nothing else is computed at that epoch."""
    logistic_regression: dict[str, dict[str, float]]
    """Weighted F1 by split of the simplest method on the same features, by the modalities that it sees: each
    alone, and last all that the model sees."""
    dev: SplitScores | None
    """None where the split has no labelled utterance, or was trained on in the end (``refit``)."""
    test: SplitScores | None
    """None where the split has no labelled utterance."""

    @property
    def test_best_epoch_weighted_f1(self) -> float | None:
        """Mean over seeds."""
        scores = [best.weighted_f1 for best in self.test_best_epoch.values()]
        return round(fmean(scores), 2) if scores else None

    @property
    def simplest(self) -> dict[str, float]:
        """Weighted F1 by split of logistic regression on all that the model sees."""
        return list(self.logistic_regression.values())[-1]

    @property
    def untrained(self) -> tuple[str, ...]:
        """Modalities whose encoder has random weights, so that the scores say nothing of the method."""
        return tuple(name for name, encoder in self.encoders.items() if is_untrained(encoder))

    @property
    def visextnet(self) -> bool | None:
        """Whether visual features are a face ResNet's, as the paper's are, or there are none of them.

        False where they are a 3D-CNN's, as in its ablation; None where they are another network's, or where
        the feature file does not tell.
        """
        if "visual" not in self.modalities:
            return True
        return _VISEXTNET.get(self.encoder_kinds.get("visual", ""))

    def curve_arrays(self) -> dict[int, dict[str, np.ndarray]]:
        """Curves as they are drawn."""
        return {
            seed: {name: np.array(values) for name, values in columns.items()}
            for seed, columns in self.curves.items()
        }


def write_results(path: Path, results: Results) -> None:
    """Write the file, and its folder if need be."""
    write_text(path, results.model_dump_json(indent=2) + "\n")


def read_results(path: Path) -> Results:
    """Read the file; UserError if there is none or if another version wrote it."""
    with reading_output(path):
        content = path.read_bytes()
    try:
        return Results.model_validate_json(content)
    except ValidationError as error:  # whose words fill a page
        raise UserError(
            f"{path}: not results of this version ({error.error_count()} mistakes): run dvc repro"
        ) from None
