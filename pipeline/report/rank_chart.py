"""The critical-difference diagram: mean ranks of models, and which of them differ."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.report.charts import BLUE, STYLE, WIDTH_IN
from pipeline.report.ranks import Ranks


def draw_ranks(ranks: Ranks) -> Figure:
    """A row for each model, the best above: its mean rank, and half the critical difference to either side.

    Demšar joins by bars on one axis what does not differ; of sixteen models these bars could not be told
    apart.
    """
    models, means = list(ranks.mean), list(ranks.mean.values())
    with mpl.rc_context(STYLE | {"axes.grid.axis": "x"}):
        figure = Figure(figsize=(WIDTH_IN, 0.9 + 0.25 * len(models)), layout="constrained")
        axes = figure.subplots()
        axes.errorbar(
            means, range(len(models)), xerr=ranks.critical_difference / 2, fmt="o", color=BLUE, markersize=5,
            elinewidth=1.6,
        )  # fmt: skip
        axes.set_yticks(range(len(models)), models)
        axes.invert_yaxis()
        axes.set_xlim(0.5, len(models) + 0.5)  # no rank lies outside
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_title(f"mean rank on test; critical difference {ranks.critical_difference:.2f}")
    return figure
