"""Tables of models for programs and for papers."""

from __future__ import annotations

import csv
import io
import re

from pipeline.corpora.annotations.labels import MELD
from pipeline.params import Kind, ModelParams
from pipeline.report.comparison import Difference, Group, Row
from pipeline.report.published import Printed, published_for
from pipeline.report.results import BestTestEpoch, BootstrapInterval, Results, SeedScores, SplitScores
from pipeline.report.tables import as_csv, as_latex, escape


def results(model: str, weighted_f1: float, f1: dict[str, float]) -> Results:
    """Of two seeds."""
    return Results(
        model=model,
        corpus="lab_1 & co",
        label_names=tuple(f1),
        modalities=("text", "audio"),
        params=ModelParams(features="x.h5", network=Kind(kind="bc_lstm")),
        parameters=1_234_567,
        encoders={},
        encoder_kinds={},
        curves={},
        selected_epochs={0: 3, 1: 4},
        selected_weighted_f1=50.0,
        test_best_epoch={seed: BestTestEpoch(epoch=5, weighted_f1=61.5) for seed in (0, 1)},
        logistic_regression={"text": {"test": 40.0}},
        dev=None,
        test=SplitScores(
            utterances=20,
            dialogues=4,
            weighted_f1=weighted_f1,
            weighted_f1_std=0.25,
            weighted_f1_interval=BootstrapInterval(low=50.0, high=70.0),
            ensemble_weighted_f1=62.0,
            macro_f1=55.0,
            accuracy=59.0,
            f1=f1,
            f1_std=dict.fromkeys(f1, 1.5),
            support=dict.fromkeys(f1, 10),
            confusion=[],
            seeds={0: SeedScores(weighted_f1=60.0, macro_f1=55.0, accuracy=59.0)},
        ),
    )


def lab() -> Group:
    """Two models of a corpus whose classes are no LaTeX."""
    first = results("first", 60.0, {"50 % up": 40.0, "a_b": 80.0})
    second = results("with_context", 61.25, {"50 % up": 45.0, "a_b": 70.0})
    difference = Difference(1.25, -0.4, 2.5, p=0.0213, p_holm=0.0004, gains=[], losses=[])
    rows = [Row(first, "bc_lstm", None, 2.5, None), Row(second, "multiemo, w/o SWFC", None, None, difference)]
    return Group("lab_1 & co", first.label_names, None, rows)


def meld() -> Group:
    """One model of a corpus that the paper has."""
    own = results("meld", 60.0, dict.fromkeys(MELD, 60.0))
    assert own.test is not None
    own = own.model_copy(update={"test": own.test.model_copy(update={"utterances": 2610})})
    printed = Printed("Table 2, BC-LSTM", "BC-LSTM", 55.9)
    return Group("meld", MELD, published_for(MELD), [Row(own, "bc_lstm", printed, None, None)])


def test_the_csv_has_every_figure_of_every_model_and_those_of_the_paper():
    rows = list(csv.DictReader(io.StringIO(as_csv([lab(), meld()]))))
    assert [row["model"] for row in rows[:3]] == ["first", "with_context", "meld"]
    assert {row["source"] for row in rows[:3]} == {"here"}
    assert (rows[1]["weighted_f1"], rows[1]["f1_50 % up"], rows[1]["f1_std_a_b"]) == ("61.25", "45.0", "1.5")
    assert (rows[1]["difference"], rows[1]["difference_high"], rows[1]["p"]) == ("1.25", "2.5", "0.0213")
    assert (rows[1]["test_best_epoch"], rows[1]["parameters"]) == ("61.5", "1234567")
    beside = (rows[1]["ensemble"], rows[1]["logistic_regression"], rows[1]["dev_weighted_f1"])
    assert beside == ("62.0", "40.0", "50.0")
    assert [row["seconds_per_epoch"] for row in rows[:3]] == ["2.5", "", ""]
    assert (rows[0]["difference"], rows[0]["f1_joy"], rows[2]["f1_a_b"]) == ("", "", "")
    assert (rows[2]["published"], rows[2]["published_in"]) == ("55.9", "Table 2, BC-LSTM")
    published = {row["model"]: row for row in rows[3:]}
    assert {row["source"] for row in published.values()} == {"published"}
    assert set(published) == set(published_for(MELD).models)
    assert (published["UniMSE"]["weighted_f1"], published["UniMSE"]["f1_fear"]) == ("65.51", "")
    assert published["MultiEMO"]["f1_fear"] == "29.67"


def test_the_latex_has_as_many_cells_as_columns_and_the_best_in_bold():
    for table, rows in zip(
        re.findall(r"\\begin{tabular}.*?\\end{tabular}", as_latex([lab(), meld()]), re.DOTALL),
        (3, 14),
        strict=True,
    ):
        columns = len(re.search(r"{tabular}{([lr]+)}", table)[1])
        lines = [line for line in table.splitlines() if line.endswith(r" \\")]
        assert len(lines) == rows
        assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines} == {columns}
    latex = as_latex([lab()])
    assert r"Model & 50 \% up & a\_b & Weighted F1" in latex
    assert r"with\_context & \textbf{45.00} {\scriptsize $\pm$1.50} & 70.00 {\scriptsize" in latex
    assert r"& 61.50 & $+1.25$ & $<$0.001 & 1\,234\,567 \\" in latex
    assert r"first & 40.00 {\scriptsize $\pm$1.50} & \textbf{80.00}" in latex


def test_any_text_is_printed_by_latex_as_it_is():
    assert escape("a\\b ~^ {x}\n#1 <5%>") == (
        r"a\textbackslash{}b \textasciitilde{}\textasciicircum{} \{x\} \#1 \textless{}5\%\textgreater{}"
    )
    assert escape("Überraschung “så” 怒り") == "Überraschung “så” 怒り"
