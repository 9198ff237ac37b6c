"""Figures by matplotlib, as PNG files for people and as SVG within the report.

Colours are Okabe and Ito's, which colour-blind readers can tell apart, and every series also differs
in its dashes.  Equal data gives equal bytes.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from pipeline.errors import reading_output
from pipeline.report.fonts import OWN, fonts_for
from pipeline.store.atomic import write_atomically

if TYPE_CHECKING:
    from pipeline.report.ranks import Ranks  # brings scipy, which most charts do without

BLUE, ORANGE, GREEN, VERMILION, PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7"
SERIES = (BLUE, ORANGE, GREEN, VERMILION, PURPLE)
DASHES = ("-", "--", ":", "-.")
SPLIT_COLOURS = {"train": BLUE, "dev": ORANGE, "test": GREEN}
# Within the page these two follow the page's own colours, light or dark.
INK, RULE = "#1f2328", "#d1d9e0"
_PAGE_COLOURS = {INK: "var(--ink)", RULE: "var(--rule)"}

WIDTH_IN = 4.6
STYLE: Any = {  # matplotlib's type of this is a list of three hundred names
    "font.family": OWN,
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": RULE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "text.parse_math": False,  # a class may be called anything
    "svg.fonttype": "none",  # text that can be read, searched and copied
    "svg.hashsalt": "multiemo",  # otherwise names within the SVG are random
}

Curves = dict[int, dict[str, np.ndarray]]
"""Seed -> column of curves.csv -> its values [epochs]."""


def read_curves(path: Path) -> Curves:
    """Read the curves that the stage train wrote."""
    curves: Curves = {}
    with reading_output(path), path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
        for seed in dict.fromkeys(row["seed"] for row in rows):
            own = [row for row in rows if row["seed"] == seed]
            curves[int(seed)] = {name: np.array([float(row[name]) for row in own]) for name in own[0]}
    return curves


def draw_curves(curves: Curves, selected_epochs: Mapping[int, int]) -> Figure:
    """Weighted F1 on validation above, losses below; a dot marks the epoch that each seed kept."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 4.2), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        for place, (seed, column) in enumerate(curves.items()):
            look: dict[str, Any] = {
                "color": SERIES[place % len(SERIES)],
                "linestyle": DASHES[place % len(DASHES)],
            }
            above.plot(column["epoch"], column["dev_weighted_f1"], label=f"seed {seed}", **look)
            kept = column["epoch"] == selected_epochs[seed]
            above.plot(
                column["epoch"][kept], column["dev_weighted_f1"][kept], "o", color=look["color"],
                label="kept" if place == len(curves) - 1 else None,
            )  # fmt: skip
        for name, colour, dashes in (("train_loss", BLUE, "-"), ("dev_loss", VERMILION, "--")):
            for place, column in enumerate(curves.values()):
                label = name.replace("_", " ") if place == 0 else None
                below.plot(
                    column["epoch"], column[name], color=colour, linestyle=dashes, linewidth=1, label=label
                )
        above.set_title("weighted F1 on dev, %")
        above.set_ylim(bottom=0)
        below.set_title("loss, log scale" if _set_log_scale(below) else "loss")
        below.set_xlabel("epoch")
        below.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))  # of one epoch, too
        above.legend(loc="best", ncols=2)
        below.legend(loc="best")
    return figure


def draw_confusion(confusion: Sequence[Sequence[int]], names: Sequence[str], split: str) -> Figure:
    """Counts and percent of each row, rows actual and columns predicted; shades by percent."""
    counts = np.asarray(confusion)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    words = [
        [f"{count}\n{100 * of:.0f} %" if count else "" for count, of in zip(*row, strict=True)]
        for row in zip(counts, share, strict=True)
    ]
    side = len(names)
    with mpl.rc_context(STYLE):
        size_in = max(WIDTH_IN, 1.2 + 0.56 * side)
        figure = Figure(figsize=(size_in, 0.9 * size_in), layout="constrained")
        axes = figure.subplots()
        small = min(1.0, 9 / side)  # many classes leave little room in a cell
        heat_map(axes, share, words, names, names, (0, 1), fontsize=8 * small)
        axes.invert_yaxis()
        axes.set_xlabel("predicted")
        axes.set_ylabel("actual")
        axes.set_title(f"{split}: utterances, and percent of the actual class")
    return figure


def draw_classes(f1: Sequence[Sequence[float]], models: Sequence[str], classes: Sequence[str]) -> Figure:
    """F1 in percent, [models][classes]: a row for each model, the darker, the higher; the best is bold.

    Bars of sixteen models by seven classes could not be told apart.
    """
    values = np.asarray(f1)
    words = [[f"{value:.1f}" for value in row] for row in values]
    with mpl.rc_context(STYLE):
        width_in = max(WIDTH_IN, 1.8 + 0.62 * len(classes))
        figure = Figure(figsize=(width_in, 0.9 + 0.25 * len(models)), layout="constrained")
        axes = figure.subplots()
        heat_map(axes, values, words, classes, models, (0, 100), fontsize=8)
        axes.invert_yaxis()
        for text, best in zip(axes.texts, (values == values.max(axis=0)).flat, strict=True):
            text.set_fontweight("bold" if best else "normal")
        axes.set_title("F1 on test, %, mean over seeds")
    return figure


def heat_map(
    axes: Axes,
    values: np.ndarray,
    words: Sequence[Sequence[str]],
    columns: Sequence[str],
    rows: Sequence[str],
    scale: tuple[float, float],
    slanted: bool = True,
    **look: Any,
) -> None:
    """Values [rows][columns] in shades of ``scale``, the first row below; NaN is white.  Words have the look.

    Names, those of columns ``slanted`` where they are long, are drawn in fonts of this machine where
    matplotlib's lacks their script.
    """
    axes.grid(visible=False)
    axes.pcolormesh(values, cmap="Blues", vmin=scale[0], vmax=scale[1], edgecolors="white", linewidth=1)
    for row, column in np.ndindex(*values.shape):
        colour = "white" if values[row, column] > sum(scale) / 2 else "black"
        place = column + 0.5, row + 0.5
        axes.text(*place, words[row][column], ha="center", va="center", color=colour, **look)
    fonts = fonts_for([*columns, *rows]).families
    slant: Any = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns, family=fonts, **slant)
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows, family=fonts)
    for spine in axes.spines.values():
        spine.set_visible(False)


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


def draw_counts(
    values_by_split: Mapping[str, np.ndarray], edges: np.ndarray, title: str, label: str
) -> Figure:
    """A histogram whose bars stack the splits; values beyond the last edge count in the last bar."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 2.4), layout="constrained")
        axes = figure.subplots()
        clipped = [
            np.minimum(values, np.nextafter(edges[-1], edges[0])) for values in values_by_split.values()
        ]
        axes.hist(
            clipped, bins=list(edges), stacked=True, rwidth=0.9, label=list(values_by_split),
            color=[SPLIT_COLOURS.get(split, BLUE) for split in values_by_split],
        )  # fmt: skip
        axes.set_title(title)
        axes.set_xlabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        if len(values_by_split) > 1:
            axes.legend(loc="best")
    return figure


def save_png(figure: Figure, path: Path, dpi: int = 200) -> None:
    """Write a PNG, of about 1000 pixels' width unless ``dpi`` says else, without date or version."""
    image = io.BytesIO()
    with _drawing():
        figure.savefig(image, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    write_atomically(path, image.getbuffer())


def to_svg(figure: Figure, description: str) -> Markup:
    """An <svg> element for a page: it scales, takes the page's fonts, and says what it shows."""
    buffer = io.StringIO()
    with _drawing():
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Several figures on a page must not share ids: some nothing refers to, the others are made this one's.
    text = re.sub(r'<g id="[\w.]+_\d+"', "<g", text)
    own = hashlib.sha256((description + text).encode()).hexdigest()[:8]
    text = re.sub(r'(id="|#)([a-z][0-9a-f]{10})\b', rf"\1\2-{own}", text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text)
    for colour, name in _PAGE_COLOURS.items():
        text = text.replace(colour, name)
    escaped = description.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return Markup(text.replace("<svg", f'<svg role="img" aria-label="{escaped}"', 1))


@contextmanager
def _drawing() -> Iterator[None]:
    """No word of glyphs that no font here has: a browser has its own fonts, a PNG boxes."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def _set_log_scale(axes: Axes) -> bool:
    """Use a logarithmic axis where all losses are positive; the Soft-HGR loss need not be."""
    if not all((np.asarray(line.get_ydata()) > 0).all() for line in axes.lines):
        return False
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    return True
