"""All models side by side: what the page and the tables for papers are made of.

Models of the same corpus and classes are a group, in the order of params.yaml, and so are those that are
tested on the same utterances, as with another encoder; each is compared with the first of its group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.params import RESULTS, Params
from pipeline.report.bootstrap import Paired, bootstrap_scores, compare_paired, holm
from pipeline.report.cases import Case, align, only_right
from pipeline.report.f1 import weighted_f1
from pipeline.report.predicted import Predicted, read_predicted
from pipeline.report.published import Printed, Published, published_for
from pipeline.report.results import Results, read_results
from pipeline.report.speed import read_speed

MODELS = Path("data", "models")


@dataclass(frozen=True)
class Model:
    """What evaluation left of one model."""

    results: Results
    predicted: Predicted


@dataclass(frozen=True)
class Difference:
    """Weighted F1 of a model less that of the first of its group, in percent."""

    value: float
    low: float
    high: float
    p: float
    p_holm: float
    """Over the models of the group."""
    gains: list[Case]
    """What every seed of this model gets right, and none of the first's."""
    losses: list[Case]
    """The other way round."""


@dataclass(frozen=True)
class Row:
    """One model among the others."""

    results: Results
    network: str
    """Its kind, and what an ablation took out of it."""
    printed: Printed | None
    """What the paper prints for it."""
    seconds_per_epoch: float | None
    """As it was trained here; None where that is not known.  No result: it has no place on the page."""
    difference: Difference | None
    """None for the first; where the two were not tested on the same utterances, or on one dialogue."""


@dataclass(frozen=True)
class Group:
    """Models of the same corpus, or at least tests, and classes."""

    corpus: str
    """All their corpora, where it is not one."""
    label_names: tuple[str, ...]
    published: Published | None
    rows: list[Row]

    @property
    def as_published(self) -> bool:
        """Whether all were tested on as many utterances as what is printed."""
        tested = {row.results.test.utterances for row in self.rows if row.results.test}
        return self.published is not None and tested <= {self.published.test_utterances}


def read_groups(params: Params) -> list[Group]:
    """The models that are trained and evaluated.

    Of ``params`` alone: DVC leaves the results of an entry that was taken out.
    """
    folder = MODELS / RESULTS
    names = [name for name in params.models if (folder / f"{name}.json").exists()]
    models = [
        Model(read_results(folder / f"{name}.json"), read_predicted(folder / f"{name}.csv")) for name in names
    ]
    groups: list[list[Model]] = []
    for each in models:
        group = next((group for group in groups if _belongs(each, group)), None)
        if group is None:
            groups.append(group := [])
        group.append(each)
    return [_group(each) for each in groups]


def _belongs(model: Model, group: list[Model]) -> bool:
    results, first = model.results, group[0].results
    same = results.corpus == first.corpus or align(model.predicted, group[0].predicted) is not None
    return same and set(results.label_names) == set(first.label_names)


def _group(models: list[Model]) -> Group:
    first = models[0].results
    published = published_for(first.label_names)
    differences = compare_with_first(models)
    rows = [
        Row(
            results=each.results,
            network=describe_network(each.results.params.network.model_dump()),
            printed=_printed(each.results, published) if published else None,
            seconds_per_epoch=read_speed(MODELS / each.results.model / "speed.csv"),
            difference=differences.get(each.results.model),
        )
        for each in models
    ]
    corpora = dict.fromkeys(each.results.corpus for each in models)
    return Group(" and ".join(corpora), first.label_names, published, rows)


def compare_with_first(models: list[Model]) -> dict[str, Difference]:
    """By model: how it differs from the first, where that can be said."""
    first, *others = models
    if not others:
        return {}
    drawn = _draws(first.predicted, np.flatnonzero(first.predicted.labelled), first.results.label_names)
    if drawn is None:
        return {}
    paired = {each.results.model: found for each in others if (found := _compare(each, first, drawn))}
    corrected = holm([found.paired.p for found in paired.values()])
    return {
        name: Difference(
            value=100 * found.value,
            low=100 * found.paired.interval.low,
            high=100 * found.paired.interval.high,
            p=found.paired.p,
            p_holm=p_holm,
            gains=found.gains,
            losses=found.losses,
        )
        for (name, found), p_holm in zip(paired.items(), corrected, strict=True)
    }


@dataclass(frozen=True)
class _Compared:
    value: float
    paired: Paired
    gains: list[Case]
    losses: list[Case]


def _compare(model: Model, first: Model, drawn: np.ndarray) -> _Compared | None:
    """As fractions, ``drawn`` being the first's draws; None where they were tested on other utterances."""
    others = np.flatnonzero(first.predicted.labelled)
    rows = align(model.predicted, first.predicted)
    if rows is None:
        return None
    names = model.results.label_names
    scores = _draws(model.predicted, rows, names)
    assert scores is not None, "the dialogues are those of the first"
    return _Compared(
        value=_score(model.predicted, rows, names) - _score(first.predicted, others, names),
        paired=compare_paired(scores, drawn),
        gains=only_right(model.predicted, rows, first.predicted, others),
        losses=only_right(first.predicted, others, model.predicted, rows),
    )


def _draws(predicted: Predicted, rows: np.ndarray, names: tuple[str, ...]) -> np.ndarray | None:
    label, predictions = _indices(predicted, rows, names)
    return bootstrap_scores(label, predictions, predicted.dialogue[rows], len(names))


def _score(predicted: Predicted, rows: np.ndarray, names: tuple[str, ...]) -> float:
    """Weighted F1, mean over seeds."""
    label, predictions = _indices(predicted, rows, names)
    confusion = np.zeros((len(predictions), len(names), len(names)))
    for seed, prediction in enumerate(predictions):
        np.add.at(confusion[seed], (label, prediction), 1)
    return float(weighted_f1(confusion).mean())


def _indices(
    predicted: Predicted, rows: np.ndarray, names: tuple[str, ...]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Labels and, by seed, predictions as numbers of their classes."""
    number = {name: place for place, name in enumerate(names)}

    def of(column: np.ndarray) -> np.ndarray:
        return np.array([number[name] for name in column[rows]], np.int64)

    return of(predicted.label), [of(column) for column in predicted.predictions.values()]


def describe_network(network: Mapping[str, Any]) -> str:
    """Its kind, and what an ablation took out of MultiEMO, in words."""
    if network["kind"] != "multiemo":
        return str(network["kind"])
    without = [("MultiAttn", network["fusion"] == "concat"), ("SWFC", network["loss"]["swfc_weight"] == 0)]
    return ", ".join(["multiemo", *(f"w/o {name}" for name, absent in without if absent)])


def _printed(results: Results, published: Published) -> Printed | None:
    network = results.params.network.model_dump()
    if network["kind"] != "multiemo":
        return published.of_kind(network["kind"], results.modalities)
    if results.visextnet is None:
        return None
    return published.same_setting(
        results.modalities,
        visextnet=results.visextnet,
        fusion=network["fusion"],
        swfc_weight=network["loss"]["swfc_weight"],
    )
