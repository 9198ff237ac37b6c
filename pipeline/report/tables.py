"""The comparison of models as CSV, for programs, and as LaTeX, for papers; scores are percentages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.report.comparison import Group, Row
from pipeline.report.results import Results
from pipeline.store.atomic import csv_text

COLUMNS = (
    *("corpus", "source", "model", "network", "modalities", "seeds", "parameters", "seconds_per_epoch"),
    *("weighted_f1", "weighted_f1_std", "weighted_f1_low", "weighted_f1_high", "macro_f1", "accuracy"),
    *("ensemble", "logistic_regression", "dev_weighted_f1", "test_best_epoch"),
    *("difference", "difference_low", "difference_high", "p", "p_holm"),
    *("published", "published_in"),
)
"""Of the CSV; after them ``f1_<class>`` and ``f1_std_<class>``."""
_SPECIAL = {char: f"\\{char}" for char in "&%$#_{}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


def as_csv(groups: Sequence[Group]) -> str:
    """A row for each model, ``source`` here, and for each that the paper prints, ``source`` published.

    Classes that a corpus lacks, and all that is not known, are empty.
    """
    rows = [row for group in groups for row in [*_own_rows(group), *_published_rows(group)]]
    classes = dict.fromkeys(name for row in rows for name in row if name not in COLUMNS)
    columns = [*COLUMNS, *classes]
    return csv_text([columns, *([row.get(column, "") for column in columns] for row in rows)])


def as_latex(groups: Sequence[Group]) -> str:
    r"""A ``tabular`` for each corpus, with the rules of booktabs; the best of each column of F1 is bold.

    What is published stands below ours, where it is of as many utterances.
    """
    return "\n".join(["% needs \\usepackage{booktabs}", *(_tabular(group) for group in groups)])


def escape(text: str) -> str:
    """Any text as LaTeX that prints it, on one line."""
    return "".join(_SPECIAL.get(char, char) for char in " ".join(text.split()))


def _own_rows(group: Group) -> list[dict[str, Any]]:
    return [_own_row(row) for row in group.rows]


def _own_row(row: Row) -> dict[str, Any]:
    results, test, found = row.results, row.results.test, row.difference
    cells: dict[str, Any] = {
        "corpus": results.corpus,
        "source": "here",
        "model": results.model,
        "network": row.network,
        "modalities": "+".join(results.modalities),
        "seeds": len(results.selected_epochs),
        "parameters": results.parameters,
        "seconds_per_epoch": "" if row.seconds_per_epoch is None else f"{row.seconds_per_epoch:.3g}",
        "dev_weighted_f1": results.selected_weighted_f1,
        "test_best_epoch": results.test_best_epoch_weighted_f1,
    }
    if test:
        cells |= {name: getattr(test, name) for name in ("weighted_f1", "weighted_f1_std")}
        cells |= {name: getattr(test, name) for name in ("macro_f1", "accuracy")}
        cells |= {"ensemble": test.ensemble_weighted_f1, "logistic_regression": results.simplest["test"]}
        cells |= {f"f1_{name}": value for name, value in test.f1.items()}
        cells |= {f"f1_std_{name}": value for name, value in (test.f1_std or {}).items()}
    if test and test.weighted_f1_interval:
        cells |= {f"weighted_f1_{end}": getattr(test.weighted_f1_interval, end) for end in ("low", "high")}
    if found:
        cells |= {"difference": round(found.value, 2), "p": f"{found.p:.4f}", "p_holm": f"{found.p_holm:.4f}"}
        cells |= {"difference_low": round(found.low, 2), "difference_high": round(found.high, 2)}
    if row.printed:
        cells |= {"published": row.printed.weighted_f1, "published_in": row.printed.where}
    return cells


def _published_rows(group: Group) -> list[dict[str, Any]]:
    published = group.published
    if published is None:
        return []
    return [
        {
            "corpus": published.corpus,
            "source": "published",
            "model": model,
            "weighted_f1": values[-1],
            "published_in": published.table,
            **{f"f1_{name}": published.f1(model, name) for name in group.label_names},
        }
        for model, values in published.models.items()
    ]


def _tabular(group: Group) -> str:
    tested = [(row, row.results) for row in group.rows if row.results.test]
    names = group.label_names
    best = {name: max((_f1(results)[name] for _, results in tested), default=0.0) for name in [*names, ""]}
    first = escape(group.rows[0].results.model)
    lines = [
        f"% {escape(group.corpus)}: F1 on test in percent, mean and standard deviation over seeds",
        f"% Best: were the epoch chosen on test; Delta, and p after Holm: to {first}",
        rf"\begin{{tabular}}{{l{'r' * (len(names) + 5)}}}",
        r"\toprule",
        _line(["Model", *names, "Weighted F1", "Best"], r"$\Delta$", "$p$", "Parameters"),
        r"\midrule",
    ]
    for row, results in tested:
        found = row.difference
        lines.append(
            _line(
                [results.model],
                *(_score(results, name, best[name]) for name in [*names, ""]),
                _number(results.test_best_epoch_weighted_f1),
                f"${found.value:+.2f}$" if found else "--",
                _p(found.p_holm) if found else "--",
                f"{results.parameters:,}".replace(",", r"\,"),
            )
        )
    if group.published and group.as_published:
        lines.append(r"\midrule")
        for model, values in group.published.models.items():
            figures = [group.published.f1(model, name) for name in names]
            cells = [_number(each) for each in [*figures, values[-1]]]
            lines.append(_line([f"{model}, as published"], *cells, "", "", "", ""))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _f1(results: Results) -> dict[str, float]:
    """By class; weighted F1 under the empty name."""
    assert results.test is not None
    return results.test.f1 | {"": results.test.weighted_f1}


def _score(results: Results, name: str, best: float) -> str:
    assert results.test is not None
    value = _f1(results)[name]
    shown = rf"\textbf{{{value:.2f}}}" if value == best else f"{value:.2f}"
    deviation = results.test.weighted_f1_std if not name else (results.test.f1_std or {}).get(name)
    return shown if deviation is None else rf"{shown} {{\scriptsize $\pm${deviation:.2f}}}"


def _line(names: Sequence[str], *cells: str) -> str:
    r"""Cells of a row, of which ``names`` are any text."""
    return " & ".join([*map(escape, names), *cells]) + r" \\"


def _number(value: float | None) -> str:
    return "--" if value is None else f"{value:.2f}"


def _p(value: float) -> str:
    return "$<$0.001" if value < 0.001 else f"{value:.3f}"
