"""The heatmap of one utterance: what each component of MultiAttn takes from the dialogue (Appendix A.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from pipeline.report.fonts import fonts_for

COLOURS = "cividis"  # even in lightness, so it survives colour blindness and a black-and-white printer
NOT_OBSERVED: Any = {"facecolor": "white", "edgecolor": "#8c959f", "hatch": "/////"}
"""Not a colour: the middle of cividis is grey."""
LABEL_CHARACTERS = 46

Pair = tuple[str, str]
"""Modality of the queries, which is the component's, and of the keys."""


@dataclass(frozen=True)
class Line:
    """One utterance of the dialogue, as the figure names it."""

    speaker: str
    text: str

    def label(self) -> str:
        """Speaker and the beginning of the text on one line."""
        words = " ".join(f"{self.speaker}: {self.text}".split()).removeprefix(": ")
        return words if len(words) <= LABEL_CHARACTERS else f"{words[: LABEL_CHARACTERS - 1].rstrip()}…"


def draw_heatmap(
    title: str,
    subtitle: str,
    lines: Sequence[Line],
    chosen: int,
    weights: Mapping[Pair, np.ndarray],
    observed: Mapping[str, np.ndarray],
) -> Figure:
    """A figure with a row for each of T utterances and, for each pair of modalities, a column per layer.

    weights: float [layers, T] per pair, what utterance ``chosen`` takes from each utterance in each
    layer.  observed: bool [T] per modality; what was not observed is hatched.
    """
    layers = next(iter(weights.values())).shape[0]
    count = len(lines)
    panel_width, row_height = max(0.95, 0.24 * layers), 0.27
    width, height = 4.6 + 1.12 * panel_width * len(weights), 2.0 + row_height * max(count, 4)
    figure = Figure(figsize=(width, height))
    left, top, bottom = 3.5 / width, 1 - 1.15 / height, 0.55 / height
    grid = figure.add_gridspec(
        1, len(weights), left=left, right=1 - 0.95 / width, top=top, bottom=bottom, wspace=0.1
    )
    fonts = fonts_for([title, subtitle, *(line.label() for line in lines)]).families
    scale = Normalize(0, max(float(values.max()) for values in weights.values()) or 1)
    for column, ((query, key), values) in enumerate(weights.items()):
        axes = figure.add_subplot(grid[column])
        shown = np.ma.masked_where(np.repeat(~observed[key][:, None], layers, axis=1), values.T)
        image = axes.imshow(shown, cmap=COLOURS, norm=scale, aspect="auto", interpolation="nearest")
        axes.patch.set(**NOT_OBSERVED)
        axes.set_title(f"{query}\nlooks at {key}", fontsize=9)
        axes.set_xticks(range(layers), [str(layer + 1) for layer in range(layers)], fontsize=7)
        axes.set_xlabel("layer", fontsize=8)
        names = [line.label() for line in lines] if column == 0 else []
        axes.set_yticks(range(count), names, fontsize=8, family=fonts)
        axes.tick_params(length=0)
        axes.axhline(chosen - 0.5, color="white", linewidth=1.2)
        axes.axhline(chosen + 0.5, color="white", linewidth=1.2)
        for place, label in enumerate(axes.get_yticklabels()):
            label.set_parse_math(False)  # a dollar is a dollar
            label.set_fontweight("bold" if place == chosen else "normal")
        for spine in axes.spines.values():
            spine.set_visible(False)
    bar = figure.add_axes((1 - 0.75 / width, bottom, 0.14 / width, top - bottom))
    figure.colorbar(image, cax=bar).ax.tick_params(labelsize=7)
    bar.set_title("weight", fontsize=7)
    for text, offset, size in ((title, 0.3, 12), (subtitle, 0.55, 8)):
        words = figure.text(0.12 / width, 1 - offset / height, text, fontsize=size, family=fonts, va="center")
        words.set_parse_math(False)
    return figure
