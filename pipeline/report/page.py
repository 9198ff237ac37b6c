"""The report's page, from its template."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).parent
FIGURES = ("curves", "confusion", "dialogue_lengths", "durations", "faces_per_frame", "face_heights")


def render_page(content: Mapping[str, Any]) -> str:
    """The whole page; values are escaped, figures are SVG elements as ``charts.to_svg`` makes them."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    figures = {name: Markup(content[name]) for name in FIGURES if name in content}
    style = Markup((FOLDER / "page.css").read_text(encoding="utf-8"))
    return environment.get_template("page.html.jinja").render(**{**content, **figures}, style=style)
