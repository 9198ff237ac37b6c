"""A sweep of two params as a heat map: what `dvc exp show` lists of a queue's experiments.

    dvc exp show --csv > sweep.csv
    python -m benchmarks.sweep sweep.csv temperature sample_weight_exponent sweep.png

The params are named by the end of their keys; a cell is the mean of weighted F1 on dev, in percent, of the
experiments that have both values and otherwise the baseline's, so that no choice looks at test.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from pipeline.report.charts import STYLE, WIDTH_IN, heat_map, save_png

METRIC = "dev.weighted_f1"
NO_FIGURE = ("", "!", "-")
"""What DVC writes where an experiment has not run, or failed."""


def main(listed: Path, rows: str, columns: str, picture: Path) -> None:
    """Draw ``columns`` from left to right and ``rows`` from below."""
    cells: defaultdict[tuple[float, float], list[float]] = defaultdict(list)
    with listed.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        names = reader.fieldnames or []
        keys = [find(names, name) for name in (METRIC, rows, columns)]
        others = [name for name in names if name.startswith("models.") and name not in keys]
        _, baseline, *experiments = reader
        for line in experiments:
            metric, row, column = (line[key] for key in keys)
            if metric not in NO_FIGURE and all(
                line[name] == baseline[name] for name in others
            ):  # else it failed, or is of another sweep
                cells[float(row), float(column)].append(float(metric))
    save_png(draw(cells, rows, columns), picture)


def find(names: Sequence[str], end: str) -> str:
    """The one column whose name ends so."""
    found = [name for name in names if name.endswith(end)]
    if len(found) != 1:
        raise SystemExit(f"{end}: {len(found)} columns end so, of {', '.join(names)}")
    return found[0]


def draw(cells: Mapping[tuple[float, float], list[float]], rows: str, columns: str) -> Figure:
    """The means; a cell that no experiment has is left white."""
    values = [sorted({pair[axis] for pair in cells}) for axis in (0, 1)]
    table = np.array(
        [
            [fmean(cells[row, column]) if (row, column) in cells else np.nan for column in values[1]]
            for row in values[0]
        ]
    )
    words = [["" if np.isnan(value) else f"{value:.1f}" for value in row] for row in table]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 1.2 + 0.5 * len(values[0])), layout="constrained")
        axes = figure.subplots()
        names = [[f"{value:g}" for value in each] for each in values]
        scale = np.nanmin(table), np.nanmax(table)
        heat_map(axes, table, words, names[1], names[0], scale, slanted=False)
        axes.set_xlabel(columns)
        axes.set_ylabel(rows)
        axes.set_title("weighted F1 on dev, %")
    return figure


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("listed", type=Path, help="what `dvc exp show --csv` printed")
    parser.add_argument("rows", help="a param, by the end of its key")
    parser.add_argument("columns", help="another")
    parser.add_argument("picture", type=Path, help="the PNG to write")
    given = parser.parse_args()
    main(given.listed, given.rows, given.columns, given.picture)
