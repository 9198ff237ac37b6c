"""``multiemo explain``: the heatmap of one utterance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.axes import Axes

from pipeline.console.__main__ import main
from pipeline.features.content import Features
from pipeline.features.file import write_features
from pipeline.params import ModelParams
from tests.train.saved_model import described, save_small_model
from tests.train.small import changed
from train.heatmaps import LABEL_CHARACTERS, Line, draw_heatmap


@pytest.fixture
def project(tmp_path: Path, make_features: Callable[..., Features], small_params: ModelParams) -> Path:
    """A folder with a model and a feature file whose texts are as nasty as texts are."""
    features = described(make_features())
    text = features.text.astype(object)
    text[::3] = "It cost $20 and $30,\nI'm \\afraid… 😀 你好 " + "word " * 30
    write_features(tmp_path / "features.h5", replace(features, text=text))
    save_small_model(tmp_path / "model", features, small_params)
    return tmp_path


def explain(project: Path, utterance: str, *options: str) -> int:
    return main([
        "explain", str(project / "features.h5"), "--model", str(project / "model"),
        "--utterance", utterance, "-o", str(project / "a.png"), *options,
    ])  # fmt: skip


def test_a_picture_is_drawn_and_the_prediction_said(project: Path, capsys) -> None:
    assert explain(project, "test_dia0_utt0", "--seed", "1") == 0
    assert f"{project / 'a.png'}: test_dia0_utt0 predicted " in capsys.readouterr().out
    picture = matplotlib.image.imread(project / "a.png")
    assert picture.shape[0] > 300
    assert picture.shape[1] > 1000
    first = (project / "a.png").read_bytes()
    explain(project, "test_dia0_utt0", "--seed", "1")
    assert (project / "a.png").read_bytes() == first


@pytest.mark.parametrize(
    ("utterance", "options", "message"),
    [
        ("test_dia0_ut0", [], "the file has no such utterance (did you mean test_dia0_utt0?)"),
        ("test_dia0_utt0", ["--seed", "5"], "--seed 5: the model has the seeds 0, 1"),
    ],
)
def test_what_is_not_there_is_named(
    project: Path, utterance: str, options: list[str], message: str, capsys
) -> None:
    assert explain(project, utterance, *options) == 1
    assert message in capsys.readouterr().err
    assert not (project / "a.png").exists()


def test_a_model_without_cross_attention_has_nothing_to_show(
    tmp_path: Path, make_features: Callable[..., Features], small_params: ModelParams, capsys
) -> None:
    features = described(make_features())
    write_features(tmp_path / "features.h5", features)
    save_small_model(tmp_path / "model", features, changed(small_params, fusion="concat"))
    assert explain(tmp_path, "test_dia0_utt0") == 1
    assert "the model has no cross-attention to show" in capsys.readouterr().err


def test_each_cell_is_the_weight_and_the_unobserved_are_masked() -> None:
    weights = {("text", "audio"): np.array([[0.1, 0.0, 0.9], [0.5, 0.0, 0.5]])}
    observed = {"audio": np.array([True, False, True])}
    lines = [Line("Ross", "Hi!"), Line("", "Well,\n  hello"), Line("Rachel", "x" * 200)]
    axes: Axes = draw_heatmap("title", "subtitle", lines, 2, weights, observed).axes[0]
    shown = axes.images[0].get_array()
    np.testing.assert_array_equal(np.ma.getmaskarray(shown), [[False, False], [True, True], [False, False]])
    np.testing.assert_array_equal(shown[2].filled(), [0.9, 0.5])
    labels = axes.get_yticklabels()
    assert [label.get_text() for label in labels[:2]] == ["Ross: Hi!", "Well, hello"]
    assert len(labels[2].get_text()) == LABEL_CHARACTERS
    assert [label.get_fontweight() for label in labels] == ["normal", "normal", "bold"]
