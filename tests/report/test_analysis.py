"""The page on an analysed film: what it says, that it stands alone, and how it behaves in a browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.report.analysis import Analysis, render_analysis
from pipeline.report.timeline import COLOURS, looks_of, make_strips
from pipeline.transcripts.predicted import Predicted
from tests.report.pages import CHROMIUM, check_that_it_stands_alone, show
from tests.report.test_tables import results

CLASSES = ("neutral", "joy", "anger")


def analysis(count: int = 12, link: str = "", classes: tuple[str, ...] = CLASSES) -> Analysis:
    said = [
        Predicted(
            5000 * n, 5000 * n + 4000, ("Ann", "Zoë <b>B.</b>", "")[n % 3], f"Line {n} & more",
            classes[n % len(classes)], (0.9, 0.45, 0.7)[n % 3],
        )
        for n in range(count)
    ]  # fmt: skip
    shares = [[each.probability if each.prediction == name else 0.05 for name in classes] for each in said]
    reasons = {"text": [""] * count, "visual": ["no face found" if n == 3 else "" for n in range(count)]}
    return Analysis(
        film="visit & 1.mp4", transcript="visit.eaf", link=link, model="the model of demo", classes=classes,
        results=None, untrained={"text": "UNTRAINED RoBERTa"}, utterances=said, probabilities=shares,
        reasons=reasons, notes=["visual: crop_size_px is 96"],
    )  # fmt: skip


def test_the_page_says_who_what_when_and_what_was_not_seen() -> None:
    page = render_analysis(analysis())
    outline = check_that_it_stands_alone(page)
    assert outline.sections() == ["timeline", "utterances", "observed", "model"]
    assert "<b>" not in page
    assert "visit &amp; 1.mp4" in page
    assert page.index("Untrained encoders.") < page.index('<section id="timeline">')
    assert page.index("crop_size_px is 96") < page.index('<section id="timeline">')
    assert (
        '<td class="text long">no face found</td><td>1</td><td class="text long"><a href="#u4">0:15</a>'
        in page
    )
    assert page.count("(unsure)") == 4
    assert re.findall(r'<tr id="u(\d+)">', page) == [str(number) for number in range(1, 13)]
    bars = re.findall(r'<a href="#u(\d+)" class="([^"]*)" title="([^"]*)" style="left: ([\d.]+)%;', page)
    assert sorted(bars)[4] == (
        "2",
        "unsure",
        "Zoë &lt;b&gt;B.&lt;/b&gt;: joy 0.45 – Line 1 &amp; more",
        "16.667",
    )


def test_times_lead_to_the_film_only_if_that_is_asked_for() -> None:
    assert "<video" not in render_analysis(analysis())
    page = render_analysis(analysis(link="../visit%20%26%201.mp4"))
    assert '<a href="../visit%20%26%201.mp4#t=5.000">0:05</a>' in page


def test_equal_predictions_give_equal_bytes() -> None:
    assert render_analysis(analysis()) == render_analysis(analysis())


def test_every_class_has_a_look_of_its_own_and_what_is_neutral_is_grey() -> None:
    names = [f"class{number}" for number in range(12)]
    looks = looks_of(["neutral", *names])
    assert looks["neutral"].colour not in {colour for colour, _ in COLOURS}
    assert len({look[1:] for look in looks.values()}) == 13
    assert len({look[1:] for look in looks_of(["neutral", "calm", "joy"]).values()}) == 3


@pytest.mark.parametrize("minutes", [1, 30, 200])
def test_strips_cover_every_utterance_however_long_the_film_is(minutes: int) -> None:
    said = [Predicted(1000 * s, 1000 * s + 7000, "Ann", "x", "joy", 0.6) for s in range(0, 60 * minutes, 9)]
    strips = make_strips(said, CLASSES)
    assert len(strips) <= 21
    assert {bar.row for strip in strips for bar in strip.lanes["Ann"]} == set(range(1, len(said) + 1))
    lasting = sum(
        bar.width * (strip.end_s - strip.start_s) / 100 for strip in strips for bar in strip.lanes["Ann"]
    )
    assert lasting == pytest.approx(7 * len(said), rel=1e-3)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("width_px", [390, 1200])
def test_in_a_browser_the_page_fits_the_screen_without_errors(tmp_path: Path, width_px: int) -> None:
    shown = show(render_analysis(analysis(60)), width_px, tmp_path)
    assert (shown.width_px, shown.needed_px) == (width_px, width_px)
    assert shown.errors == ""


def test_the_models_own_score_and_classes_stand_above_all_predictions() -> None:
    own = results("demo", 55.64, {"neutral": 71.5, "joy": 13.25, "anger": 80.0})
    page = render_analysis(analysis()._replace(results=own))
    check_that_it_stands_alone(page)
    assert (
        page.index("<dd>55.64</dd>")
        < page.index("neutral, joy, anger; whatever is felt")
        < page.index('"timeline"')
    )
    assert "on the test split of lab_1 &amp; co, not on this film" in page
    assert page.index('<th scope="row">joy</th><td>10</td>') > page.index('<section id="model">')
    unlabelled = render_analysis(analysis()._replace(results=own.model_copy(update={"test": None})))
    assert "its test split has no labels" in unlabelled
