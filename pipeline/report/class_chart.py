"""F1 by class and model, as a heat map: bars of sixteen models by seven classes could not be told apart."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from pipeline.report.charts import STYLE, WIDTH_IN
from pipeline.report.fonts import fonts_for


def draw_classes(f1: Sequence[Sequence[float]], models: Sequence[str], classes: Sequence[str]) -> Figure:
    """F1 in percent, [models][classes]: a row for each model, the darker, the higher; the best is bold."""
    values = np.asarray(f1)
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        width_in = max(WIDTH_IN, 1.8 + 0.62 * len(classes))
        figure = Figure(figsize=(width_in, 0.9 + 0.25 * len(models)), layout="constrained")
        axes = figure.subplots()
        axes.pcolormesh(values, cmap="Blues", vmin=0, vmax=100, edgecolors="white", linewidth=1)
        axes.invert_yaxis()
        best = values.max(axis=0)
        for row, column in np.ndindex(*values.shape):
            axes.text(
                column + 0.5, row + 0.5, f"{values[row, column]:.1f}", ha="center", va="center", fontsize=8,
                color="white" if values[row, column] > 50 else "black",
                weight="bold" if values[row, column] == best[column] else "normal",
            )  # fmt: skip
        names = fonts_for(classes).families
        axes.set_xticks(
            np.arange(len(classes)) + 0.5,
            classes,
            family=names,
            rotation=45,
            ha="right",
            rotation_mode="anchor",
        )
        axes.set_yticks(np.arange(len(models)) + 0.5, models)
        axes.set_title("F1 on test, %, mean over seeds")
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure
