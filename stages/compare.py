"""Stage compare: the results of all models -> compare.html, one page that sets them side by side.

Models of one corpus stand together; where its classes are MELD's or IEMOCAP's, the paper's figures stand
beside them.  The page is one file that needs no network.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.features.cautions import describe_seen
from pipeline.params import RESULTS, read_params
from pipeline.report.charts import draw_confusion, draw_curves, to_svg
from pipeline.report.page import render_page
from pipeline.report.published import Published, published_for
from pipeline.report.results import Results, read_results

FOLDER = Path("data", "models")


def main() -> None:
    """Write ``data/models/compare.html``."""
    # Of the models of params.yaml only: DVC leaves the results of an entry that was taken out.
    paths = [FOLDER / RESULTS / f"{name}.json" for name in read_params().models]
    results = [read_results(path) for path in paths if path.exists()]
    html = render_page("compare", {"groups": [describe_group(group) for group in group_by_corpus(results)]})
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "compare.html").write_text(html, encoding="utf-8")
    for each in results:
        score = (
            "no labels in test" if each.test is None else f"weighted F1 {each.test.weighted_f1:.2f} on test"
        )
        print(f"compare: {each.model}: {score}{' (untrained encoders)' if each.untrained else ''}")
    print(f"compare: {FOLDER / 'compare.html'} ({len(html.encode()) / 1e6:.1f} MB)")


def group_by_corpus(results: Iterable[Results]) -> list[list[Results]]:
    """Results of the same corpus and classes together, in the order of their first model."""
    groups: dict[tuple[str, tuple[str, ...]], list[Results]] = {}
    for each in results:
        groups.setdefault((each.corpus, each.label_names), []).append(each)
    return list(groups.values())


def describe_group(group: Sequence[Results]) -> dict[str, Any]:
    """What the page says of the models of one corpus."""
    label_names = group[0].label_names
    published = published_for(label_names)
    tested = {each.test.utterances for each in group if each.test}
    return {
        "corpus": group[0].corpus,
        "label_names": label_names,
        "published": published,
        "rows": [describe_model(each, published) for each in group],
        "untrained": list(
            dict.fromkeys((name, each.encoders[name]) for each in group for name in each.untrained)
        ),
        "seen": list(
            dict.fromkeys(
                (name, encoder, words)
                for each in group
                for name, encoder in each.encoders.items()
                if (words := describe_seen(encoder))
            )
        ),
        "test_utterances": max(tested, default=0),
        "not_comparable": published is not None and bool(tested - {published.test_utterances}),
    }


def describe_model(results: Results, published: Published | None) -> dict[str, Any]:
    """What the page says of one model."""
    split = "test" if results.test else "dev"
    scores = results.test or results.dev
    assert scores is not None, "a model is only trained where dev is labelled"
    network = results.params.network.model_dump()
    curves = draw_curves(results.curve_arrays(), results.selected_epochs)
    confused = _most_confused(scores.confusion, results.label_names)
    return {
        "results": results,
        "anchor": f"model_{results.model}",
        "split": split,
        "scores": scores,
        "network": ", ".join([network["kind"], *_changes(network)]),
        "paper": published and _same_setting(results, network, published),
        "curves": to_svg(
            curves, f"Learning curves of {results.model}: weighted F1 on validation and losses by epoch"
        ),
        "confusion": to_svg(
            draw_confusion(scores.confusion, results.label_names, split),
            f"Confusion matrix of {results.model} on {split}: {confused}",
        ),
        "params": dict(_flat(results.params.model_dump(mode="json", exclude={"features"}))),
    }


def _changes(network: dict[str, Any]) -> list[str]:
    """What an ablation took out of MultiEMO, in words."""
    if network["kind"] != "multiemo":
        return []
    without = [("MultiAttn", network["fusion"] == "concat"), ("SWFC", network["loss"]["swfc_weight"] == 0)]
    return [f"w/o {name}" for name, absent in without if absent]


def _same_setting(
    results: Results, network: dict[str, Any], published: Published
) -> tuple[str, float] | None:
    """Where the paper has a figure for the same setting, and the figure."""
    if network["kind"] != "multiemo" or results.visextnet is None:
        return None
    return published.same_setting(
        results.modalities,
        visextnet=results.visextnet,
        fusion=network["fusion"],
        swfc_weight=network["loss"]["swfc_weight"],
    )


def _most_confused(confusion: list[list[int]], names: tuple[str, ...]) -> str:
    counts = np.array(confusion)
    right = int(np.trace(counts))
    np.fill_diagonal(counts, 0)
    summary = f"{right} of {right + counts.sum()} predictions are right"
    if not counts.any():
        return summary
    actual, predicted = np.unravel_index(counts.argmax(), counts.shape)
    return f"{summary}; most often {names[actual]} is taken for {names[predicted]}"


def _flat(params: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Params as key and value in words."""
    for key, value in params.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield f"{prefix}{key}", ", ".join(map(str, value))
        else:
            yield f"{prefix}{key}", str(value)
