"""Labels in scripts that matplotlib's own font lacks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.font_manager import fontManager
from PIL import Image

from pipeline.report.charts import draw_confusion, save_png, to_svg
from pipeline.report.fonts import OWN, fonts_for

CONFUSION = np.full((2, 2), 3)


def build_font(path: Path, family: str, characters: str) -> Path:
    """A font in which each of the characters is a full square."""
    pen = TTGlyphPen(None)
    for step, corner in (
        (pen.moveTo, (0, 0)),
        *((pen.lineTo, p) for p in ((0, 1000), (1000, 1000), (1000, 0))),
    ):
        step(corner)
    pen.closePath()
    square = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap(dict.fromkeys(map(ord, characters), "square"))
    builder.setupGlyf({".notdef": square, "square": square})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "square": (1000, 0)})
    builder.setupHorizontalHeader(ascent=1000, descent=0)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(usWeightClass=400)
    builder.setupPost()
    builder.save(path)
    return path


@pytest.fixture(autouse=True)
def of_this_machine(tmp_path: Path) -> Iterator[None]:
    """A machine with matplotlib's own fonts and two for U+10330 (Gothic) and beyond."""
    before = [*fontManager.ttflist]
    fontManager.ttflist = [face for face in before if "matplotlib" in face.fname]
    fontManager.addfont(build_font(tmp_path / "a.ttf", "A Few", "\U00010330"))
    fontManager.addfont(build_font(tmp_path / "b.ttf", "Many", "\U00010330\U00010331高兴"))
    yield
    fontManager.ttflist = before


def test_matplotlibs_own_font_is_all_that_most_scripts_need() -> None:
    assert fonts_for(["joy", "Überraschung", "радость", "غضب", "חרדה"]) == ([OWN], frozenset())


def test_the_font_that_has_most_of_the_rest_is_taken_and_boxes_are_no_glyphs() -> None:
    fonts = fonts_for(["joy", "高\ufe0f 兴", "\U00010330", "悲しみ"])
    assert fonts.families == [OWN, "Many"]
    assert fonts.lacking == frozenset("悲しみ")
    assert fonts.drawable(["joy", "高兴", "悲しみ"]) == ["joy", "高兴", "class 2"]


def test_a_label_is_drawn_in_a_font_of_the_machine(tmp_path: Path) -> None:
    shades = []
    for names in (["高兴", "joy"], ["‐", "joy"]):  # a hyphen marks nearly nothing
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            save_png(draw_confusion(CONFUSION, names, "test"), tmp_path / "confusion.png")
        picture = np.asarray(Image.open(tmp_path / "confusion.png").convert("L"))
        shades.append((picture < 60).sum())
    glyph_px = (9 * 200 / 72) ** 2
    assert 3 * glyph_px < shades[0] - shades[1] < 5 * glyph_px  # two squares on each of two axes


def test_a_page_has_the_label_as_text_whatever_fonts_there_are(recwarn: pytest.WarningsRecorder) -> None:
    svg = to_svg(draw_confusion(CONFUSION, ["悲しみ", "joy"], "test"), "A matrix")
    assert svg.count(">悲しみ</text>") == 2
    assert [each for each in recwarn if "Glyph" in str(each.message)] == []
