"""Stage compare: the results of all models -> compare.html, one page that sets them side by side.

Models of one corpus stand together; where its classes are MELD's or IEMOCAP's, the paper's figures stand
beside them.  The page is one file that needs no network.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from pipeline.features.cautions import describe_seen
from pipeline.params import flatten, read_params
from pipeline.report.charts import draw_classes, draw_confusion, draw_curves, draw_ranks, to_svg
from pipeline.report.comparison import MODELS, Group, Row, read_groups
from pipeline.report.page import render_page
from pipeline.report.published import CAVEATS
from pipeline.report.ranks import rank_models
from pipeline.report.results import Results
from pipeline.store.atomic import write_text

CASES_SHOWN = 5
"""Of the utterances that one of two models gets right, so many are printed."""


def main() -> None:
    """Write ``data/models/compare.html``."""
    groups = read_groups(read_params())
    html = render_page(
        "compare",
        {"groups": [describe_group(group) for group in groups], "ranks": rank(over_corpora(groups))},
    )
    write_text(MODELS / "compare.html", html)
    for each in (row.results for group in groups for row in group.rows):
        score = (
            "no labels in test" if each.test is None else f"weighted F1 {each.test.weighted_f1:.2f} on test"
        )
        print(f"compare: {each.model}: {score}{' (untrained encoders)' if each.untrained else ''}")
    print(f"compare: {MODELS / 'compare.html'} ({len(html.encode()) / 1e6:.1f} MB)")


def describe_group(group: Group) -> dict[str, Any]:
    """What the page says of the models of one corpus."""
    results = [row.results for row in group.rows]
    tested = {each.test.utterances for each in results if each.test}
    compared = [group.rows[0], *(row for row in group.rows if row.difference)]
    return {
        "corpus": group.corpus,
        "label_names": group.label_names,
        "published": group.published,
        "caveats": CAVEATS,
        "rows": [describe_model(row) for row in group.rows],
        "first": results[0].model,
        "untrained": list(
            dict.fromkeys((name, each.encoders[name]) for each in results for name in each.untrained)
        ),
        "seen": list(
            dict.fromkeys(
                (name, encoder, words)
                for each in results
                for name, encoder in each.encoders.items()
                if (words := describe_seen(encoder))
            )
        ),
        "test_utterances": max(tested, default=0),
        "not_comparable": group.published is not None and not group.as_published,
        "by_class": draw_group(group),
        "ranks": rank({row.results.model: by_seed(row.results) for row in compared}),
    }


def rank(scores: Mapping[str, Mapping[Hashable, float]]) -> dict[str, Any] | None:
    """What the page says of the order of models, over the blocks of their scores that all have."""
    ranks = rank_models(scores)
    if ranks is None:
        return None
    order = ", ".join(f"{model} {mean:.1f}" for model, mean in ranks.mean.items())
    return {"blocks": ranks.blocks, "figure": to_svg(draw_ranks(ranks), f"Mean ranks on test: {order}")}


def by_seed(results: Results) -> dict[Hashable, float]:
    """Weighted F1 on test."""
    return {seed: each.weighted_f1 for seed, each in results.test.seeds.items()} if results.test else {}


def over_corpora(groups: Sequence[Group]) -> dict[str, dict[Hashable, float]]:
    """Weighted F1 on test by setting, group and seed, of settings that several groups have once."""
    found: defaultdict[str, list[tuple[int, Results]]] = defaultdict(list)
    for number, group in enumerate(groups):
        for row in group.rows:
            found[f"{row.network}: {' + '.join(row.results.modalities)}"].append((number, row.results))
    return {
        setting: {(number, seed): f1 for number, results in own for seed, f1 in by_seed(results).items()}
        for setting, own in found.items()
        if len(groups) > 1 and [number for number, _ in own] == list(range(len(groups)))
    }


def draw_group(group: Group) -> Markup | None:
    """F1 by class and model; None where there is nothing to compare."""
    scores = {row.results.model: row.results.test.f1 for row in group.rows if row.results.test}
    if len(scores) < 2:
        return None
    best = {name: max(scores, key=lambda model: scores[model][name]) for name in group.label_names}
    summary = "; ".join(f"{name} best by {model}" for name, model in best.items())
    drawn = draw_classes(
        [[each[name] for name in group.label_names] for each in scores.values()],
        list(scores),
        group.label_names,
    )
    return to_svg(drawn, f"F1 on test by class and model: {summary}")


def describe_model(row: Row) -> dict[str, Any]:
    """What the page says of one model."""
    results = row.results
    split = "test" if results.test else "dev"
    scores = results.test or results.dev
    assert scores is not None, "a model is only trained where dev is labelled"
    curves = draw_curves(results.curve_arrays(), results.selected_epochs)
    confused = _most_confused(scores.confusion, results.label_names)
    difference = row.difference
    return {
        "results": results,
        "anchor": f"model_{results.model}",
        "split": split,
        "scores": scores,
        "network": row.network,
        "printed": row.printed,
        "difference": difference,
        "cases": {
            "gains": difference.gains[:CASES_SHOWN] if difference else [],
            "losses": difference.losses[:CASES_SHOWN] if difference else [],
        },
        "curves": to_svg(
            curves, f"Learning curves of {results.model}: weighted F1 on validation and losses by epoch"
        ),
        "confusion": to_svg(
            draw_confusion(scores.confusion, results.label_names, split),
            f"Confusion matrix of {results.model} on {split}: {confused}",
        ),
        "params": {
            key: ", ".join(map(str, value)) if isinstance(value, list) else value
            for key, value in flatten(results.params.model_dump(mode="json", exclude={"features"})).items()
        },
    }


def _most_confused(confusion: list[list[int]], names: tuple[str, ...]) -> str:
    counts = np.array(confusion)
    right = int(np.trace(counts))
    np.fill_diagonal(counts, 0)
    summary = f"{right} of {right + counts.sum()} predictions are right"
    if not counts.any():
        return summary
    actual, predicted = np.unravel_index(counts.argmax(), counts.shape)
    return f"{summary}; most often {names[actual]} is taken for {names[predicted]}"
