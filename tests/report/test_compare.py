"""The stage compare: models side by side, and the paper's figures beside them."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

import stages.compare
import stages.evaluate
import stages.train
from pipeline.console.__main__ import main as multiemo
from pipeline.corpora.annotations.labels import IEMOCAP, MELD
from pipeline.features.content import Features
from pipeline.features.file import write_features
from pipeline.params import Kind
from pipeline.report.predicted import Predicted, read_predicted, write_predicted
from pipeline.report.published import CAVEATS, published_for
from pipeline.report.results import Results, read_results, write_results
from tests import small_features
from tests.report.pages import CHROMIUM, check_that_it_stands_alone, show
from tests.train.small import NETWORK
from train.model import load_model

PAPER = Path(__file__).parents[3] / "shared" / "paper" / "multiemo.md"
TRAINED = {
    "meld": small_features.meld,
    "iemocap": small_features.iemocap,
    "lab": small_features.recordings,
}
"""Models that are really trained: each is named as its corpus."""


def train(name: str, features: Features) -> Results:
    """The results of a small model, in the folder where the stages run."""
    path = Path(f"data/{name}/features.h5")
    write_features(path, features)
    model = {"features": str(path), "network": NETWORK, "epochs": 2, "seeds": [0, 1]}
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump({"models": {name: model}}, file)
    stages.train.main(name)
    stages.evaluate.main(name)
    return read_results(Path(f"data/models/results/{name}.json"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the models are trained."""
    return tmp_path_factory.mktemp("trained")


@pytest.fixture(scope="module")
def trained(folder: Path) -> dict[str, Results]:
    """Results by corpus."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MULTIEMO_DEVICE", "cpu")
        patch.setenv("MULTIEMO_WORKERS", "1")
        patch.delenv("MULTIEMO_STORE", raising=False)
        return {name: train(name, make()) for name, make in TRAINED.items()}


@pytest.fixture(scope="module")
def tested(folder: Path, trained: dict[str, Results]) -> dict[str, Predicted]:
    """What was predicted on test, by corpus."""
    return {name: read_predicted(folder / f"data/models/results/{name}.csv") for name in trained}


Compare = Callable[..., str]


@pytest.fixture
def compare(tested: dict[str, Predicted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compare:
    """The page on some results, whose models are those of params.yaml in that order.

    Predictions are those in ``others``, by model, or else those of the model that was trained on the corpus.
    """
    monkeypatch.chdir(tmp_path)

    def make(*results: Results, others: Mapping[str, Predicted] | None = None) -> str:
        for each in results:
            write_results(Path(f"data/models/results/{each.model}.json"), each)
            found = (others or {}).get(each.model) or tested.get(each.corpus)
            if found:
                write_predicted(Path(f"data/models/results/{each.model}.csv"), found)
        entries = {each.model: {"features": each.params.features} for each in results}
        with Path("params.yaml").open("w", encoding="utf-8") as file:
            YAML().dump({"models": entries}, file)
        stages.compare.main()
        return Path("data/models/compare.html").read_text(encoding="utf-8")

    return make


def variant(results: Results, model: str, network: dict[str, Any] | None = None, **changes: Any) -> Results:
    """The same figures under another name and of another setting."""
    kind = Kind.model_validate(results.params.network.model_dump() | (network or {}))
    params = results.params.model_copy(update={"network": kind})
    return results.model_copy(update={"model": model, "params": params} | changes)


def tables(page: str) -> dict[str, list[list[str]]]:
    """Cells of the rows of each table by the beginning of its caption; of several, the first."""
    found: dict[str, list[list[str]]] = {}
    for table in re.findall(r"<table>.*?</table>", page, re.DOTALL):
        caption = re.search(r"<caption>(.*?)</caption>", table, re.DOTALL)
        assert caption is not None
        rows = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
        cells = [re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL) for row in rows]
        text = [[html.unescape(re.sub(r"<.*?>", "", cell)).strip() for cell in row] for row in cells]
        found.setdefault(re.split(r"[;,]", re.sub("<.*?>", "", caption[1]))[0], text)
    return found


def column(table: list[list[str]], name: str) -> dict[str, str]:
    """The cells of a column by the row's name."""
    place = table[0].index(name)
    return {row[0]: row[place] for row in table[1:]}


def test_the_page_shows_every_model_and_asks_nothing_of_a_network(trained, compare, capsys):
    results = trained["lab"]
    page = compare(results, variant(results, "lab_again"))
    check_that_it_stands_alone(page)
    printed = capsys.readouterr().out
    assert results.test is not None
    assert f"compare: lab_again: weighted F1 {results.test.weighted_f1:.2f} on test (untrained" in printed
    overview = tables(page)["Weighted F1 on test"]
    assert list(column(overview, "modalities")) == ["lab (untrained)", "lab_again (untrained)"]
    assert column(overview, "seeds")["lab (untrained)"] == "2"
    assert column(overview, "modalities")["lab (untrained)"] == "text + audio + visual"
    scores = column(overview, "weighted\N{NO-BREAK SPACE}F1")
    assert scores["lab (untrained)"] == f"{results.test.weighted_f1:.2f}"
    for key in ("network.loss.temperature", "batch_dialogues", "seeds"):
        assert f"<dt>{key}</dt>" in page


def test_equal_results_give_equal_bytes(trained, compare):
    assert compare(*trained.values()) == compare(*trained.values())


def test_models_of_one_corpus_stand_together_in_the_order_of_params_yaml(trained, compare):
    meld, lab = trained["meld"], trained["lab"]
    page = compare(meld, lab, variant(meld, "meld_text", modalities=("text",)))
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["meld", "lab"]
    assert re.findall(r'<a href="#corpus\d">(.*?)</a>', page) == ["meld", "lab"]
    assert re.findall(r'<h3 id="model_\w+">(.*?)</h3>', page) == ["meld", "meld_text", "lab"]


def test_models_of_the_same_corpus_with_other_classes_are_not_mixed(trained, compare):
    lab = trained["lab"]
    scores = {"low": 1.0, "high": 2.0}
    renamed = lab.test.model_copy(update={"f1": scores, "f1_std": scores, "support": {"low": 1, "high": 1}})
    other = variant(lab, "other", label_names=("low", "high"), test=renamed)
    assert compare(lab, other).count("<h2>lab</h2>") == 2


def test_the_same_classes_in_another_order_are_the_same_classes(trained, compare):
    meld = trained["meld"]
    page = compare(meld, variant(meld, "other", label_names=meld.label_names[::-1]))
    assert page.count("<h2>meld</h2>") == 1
    assert tables(page)["Difference to meld"][1][1].startswith("+0.00")


def test_each_class_has_its_f1_over_seeds_and_the_papers_models_follow(trained, compare):
    results = trained["meld"]
    by_class = tables(compare(results))["F1 by class on test"]
    assert by_class[0] == ["model", *MELD, "weighted F1", "macro F1", "accuracy"]
    ours = [f"{results.test.f1[name]:.2f} ±{results.test.f1_std[name]:.2f}" for name in MELD]
    assert by_class[1][: len(ours) + 1] == ["meld", *ours]
    printed = column(by_class, "weighted F1")
    assert printed.pop("meld") == f"{results.test.weighted_f1:.2f}"
    assert list(printed) == [f"{name}, printed" for name in reversed(published_for(MELD).models)]
    assert (printed["MultiEMO, printed"], printed["UniMSE, printed"]) == ("66.74", "65.51")
    assert column(by_class, "fear")["MultiEMO, printed"] == "29.67"
    assert column(by_class, "fear")["UniMSE, printed"] == "–"


def test_a_printed_row_stands_below_the_model_that_it_belongs_to_and_once(trained, compare):
    results = trained["meld"]
    rnn = variant(results, "rnn", {"kind": "dialogue_rnn"})
    again = variant(results, "rnn_again", {"kind": "dialogue_rnn"})
    page = compare(rnn, variant(results, "ours"), again)
    by_class = [row[0] for row in tables(page)["F1 by class on test"]]
    assert by_class[1:5] == ["rnn", "DialogueRNN, printed", "ours", "MultiEMO, printed"]
    assert by_class[5:7] == ["rnn_again", "MultiEMO w/o SWFC loss, printed"]
    assert len(by_class) == 1 + 3 + len(published_for(MELD).models)
    assert len({*by_class}) == len(by_class)


def test_every_printed_row_says_what_it_was_made_of(trained, compare):
    assert set(CAVEATS) == set(published_for(MELD).models) == set(published_for(IEMOCAP).models)
    page = html.unescape(compare(trained["meld"]))
    assert all(f"<dt>{name}</dt><dd>{words}</dd>" in page for name, words in CAVEATS.items())
    assert "is not remade: a feature file has one vector per utterance" in page


def test_the_papers_figures_of_iemocap_stand_beside_its_classes_in_our_order(trained, compare):
    by_class = tables(compare(trained["iemocap"]))["F1 by class on test"]
    printed = column(by_class, "weighted F1")
    assert (printed["MultiEMO, printed"], printed["BC-LSTM, printed"]) == ("72.84", "54.95")
    assert by_class[0][1 : len(IEMOCAP) + 1] == list(IEMOCAP)


def test_classes_of_no_corpus_in_the_paper_have_no_figures_of_it(trained, compare):
    page = compare(trained["lab"])
    assert "paper’s Table" not in page
    assert "published" not in page
    assert [row[0] for row in tables(page)["F1 by class on test"]] == ["model", "lab"]
    assert published_for(MELD[:6]) is None


WITHOUT_SWFC = {"loss": {"swfc_weight": 0.0, "soft_hgr_weight": 0.3}}
SETTINGS: dict[str, tuple[dict[str, Any], str, str]] = {
    "the paper's": ({}, "multiemo", "66.74 (Table 2, MultiEMO)"),
    "without MultiAttn": (
        {"network": {"fusion": "concat"}},
        "multiemo, w/o MultiAttn",
        "62.50 (Table 2, MultiEMO w/o MultiAttn)",
    ),
    "without SWFC": (
        {"network": WITHOUT_SWFC},
        "multiemo, w/o SWFC",
        "63.83 (Table 2, MultiEMO w/o SWFC loss)",
    ),
    "with visual features whose encoder the file does not tell": (
        {"encoder_kinds": {"visual": ""}},
        "multiemo",
        "– ()",
    ),
    "with faces seen by another network": ({"encoder_kinds": {"visual": "facenet"}}, "multiemo", "– ()"),
    "without VisExtNet, but a 3D-CNN of whole frames": (
        {"encoder_kinds": {"text": "transformers", "audio": "opensmile", "visual": "scene"}},
        "multiemo",
        "64.89 (Table 2, MultiEMO w/o VisExtNet)",
    ),
    "without two at once": (
        {"network": {"fusion": "concat"} | WITHOUT_SWFC},
        "multiemo, w/o MultiAttn, w/o SWFC",
        "– ()",
    ),
    "text and audio": ({"modalities": ("text", "audio")}, "multiemo", "64.21 (Table 3)"),
    "audio and visual, which the paper lacks": ({"modalities": ("audio", "visual")}, "multiemo", "– ()"),
    "text without SWFC": ({"modalities": ("text",), "network": WITHOUT_SWFC}, "multiemo, w/o SWFC", "– ()"),
    "text and visual features of another network": (
        {"modalities": ("text", "visual"), "encoder_kinds": {"visual": "densenet"}},
        "multiemo",
        "– ()",
    ),
    "a network of another paper": ({"network": {"kind": "bc_lstm"}}, "bc_lstm", "55.90 (Table 2, BC-LSTM)"),
    "one on the modalities that the original reads": (
        {"network": {"kind": "bc_lstm"}, "modalities": ("text", "audio")},
        "bc_lstm",
        "55.90 (Table 2, BC-LSTM)",
    ),
    "one on others": ({"network": {"kind": "mmgcn"}, "modalities": ("text", "audio")}, "mmgcn", "– ()"),
    "another network": ({"network": {"kind": "bag_of_features"}}, "bag_of_features", "– ()"),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_papers_figure_for_the_same_setting_stands_beside_a_model(trained, compare, setting):
    changes, network, paper = SETTINGS[setting]
    overview = tables(compare(variant(trained["meld"], "ours", **changes)))["Weighted F1 on test"]
    (shown,) = column(overview, "network").values()
    assert shown == network
    (figure,), (where,) = column(overview, "published").values(), column(overview, "published in").values()
    assert f"{figure} ({where})" == paper


def test_models_are_compared_with_the_first_on_the_same_utterances(trained, tested, compare):
    """What is right everywhere is better than what was trained; the same predictions are no difference."""
    results, own = trained["meld"], tested["meld"]
    right = replace(own, predictions=dict.fromkeys((0, 1), own.label), p_label=np.ones(len(own.id)))
    best = variant(results, "best", test=results.test.model_copy(update={"weighted_f1": 100.0}))
    page = compare(results, variant(results, "same"), best, others={"best": right})
    assert "With as few dialogues as these 2, intervals are too narrow" in page
    compared = tables(page)["Difference to meld"]
    assert [row[0] for row in compared] == ["model", "same", "best"]
    assert compared[1][1:] == ["+0.00", "+0.00 to +0.00", "1.000", "1.000", "0", "0"]
    assert compared[2][1] == f"+{100 - results.test.weighted_f1:.2f}"
    missed = [
        name
        for name in own.id
        if all(p[own.id == name] != own.label[own.id == name] for p in own.predictions.values())
    ]
    assert compared[2][5:] == [str(len(missed)), "0"]
    cases = re.findall(r"<li>(.*?)</li>", page[page.index("Right by every seed of best") :], re.DOTALL)
    assert len(cases) == min(5, len(missed))
    place = own.id.tolist().index("test_dia0_utt1")
    (with_context,) = [case for case in cases if "test_dia0_utt1: " in case]
    spoken = [f"{own.speaker[row]}: {own.text[row]}" for row in (place - 1, place)]
    assert re.findall(r"<span.*?>(.*?)</span>", html.unescape(with_context))[:2] == spoken
    assert f"test_dia0_utt1: {own.label[place]}, taken for " in with_context


def test_a_corpus_extracted_by_another_encoder_is_compared_on_the_same_utterances(trained, tested, compare):
    results = trained["meld"]
    other = variant(results, "wavlm", corpus="meld_wavlm")
    page = compare(results, other, others={"wavlm": tested["meld"]})
    assert [row[0] for row in tables(page)["Difference to meld"]] == ["model", "wavlm"]
    assert "<h2>meld and meld_wavlm</h2>" in page
    assert "All corpora" not in page


def test_holm_and_ranks_are_of_the_models_that_can_be_compared(trained, tested, compare):
    results, own = trained["meld"], tested["meld"]
    relabelled = replace(own, label=np.roll(own.label, 1))
    models = [variant(results, name) for name in ("same", "again", "other")]
    page = compare(results, *models, others={"other": relabelled})
    assert "for having asked it of 2 models" in page
    assert 'aria-label="Mean ranks on test: meld 2.0, same 2.0, again 2.0"' in page


def test_models_tested_on_other_utterances_are_not_compared(trained, tested, compare):
    results, own = trained["meld"], tested["meld"]
    relabelled = replace(own, label=np.roll(own.label, 1))
    page = compare(results, variant(results, "other"), others={"other": relabelled})
    assert tables(page)["Difference to meld"][1] == [
        "other",
        "not to be had: of one dialogue, or of other utterances",
    ]


def test_models_are_ranked_over_the_seeds_that_all_have(trained, compare):
    meld = trained["meld"]
    others = [variant(meld, name) for name in ("second", "third")]
    page = compare(meld, *others)
    assert "averaged over 2 seeds" in page
    assert 'aria-label="Mean ranks on test: meld 2.0, second 2.0, third 2.0"' in page
    assert "Mean ranks" not in compare(meld, others[0])
    assert "All corpora" not in page


def test_networks_that_several_corpora_have_are_ranked_over_all_of_them(trained, compare):
    models = []
    for corpus in ("meld", "iemocap"):
        own = trained[corpus]
        loss = own.params.network.model_dump()["loss"] | {"swfc_weight": 0.0}
        models += [
            variant(own, f"{corpus}{place}", network)
            for place, network in enumerate(({}, {"fusion": "concat"}, {"loss": loss}))
        ]
    page = compare(*models)
    assert "averaged over 4 trainings of each setting that all 2 corpora have once" in page
    assert "multiemo, w/o SWFC: text + audio + visual 2.0" in page
    assert "All corpora" not in compare(*models[:-1])


def test_parameters_are_those_that_training_changes(trained, folder, compare):
    model = load_model(folder / "data/models/meld/model")
    expected = sum(array.numel() for array in model.weights[0].values())  # it has no buffers
    overview = tables(compare(trained["meld"]))["Weighted F1 on test"]
    assert column(overview, "parameters") == {"meld (untrained)": f"{expected:,}"}


def test_figures_of_another_test_split_than_the_papers_are_said_not_to_be_comparable(trained, compare):
    results = trained["meld"]
    assert "Not comparable as they stand" in compare(results)
    whole = results.test.model_copy(update={"utterances": 2610})
    assert "Not comparable" not in compare(variant(results, "meld", test=whole))


def test_a_model_that_was_taken_out_of_the_params_is_gone(trained, compare):
    compare(trained["lab"], variant(trained["lab"], "ablation"))
    Path("data/models/results/gone.json").write_text("{}")  # of an older version, too
    page = compare(trained["lab"])
    assert "ablation" not in page
    assert "gone" not in page


def test_a_model_that_is_not_trained_yet_is_left_out(trained, compare):
    compare(trained["lab"])
    with Path("params.yaml").open("a", encoding="utf-8") as file:
        file.write("  tomorrow: {features: data/lab/features.h5}\n")
    stages.compare.main()
    assert "tomorrow" not in Path("data/models/compare.html").read_text(encoding="utf-8")


def test_the_command_prints_the_rows_of_the_page(trained, compare, capsys):
    results = trained["meld"]
    compare(results, variant(results, "again"))
    capsys.readouterr()
    assert multiemo(["table", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    ours = [(row["model"], row["difference"], row["p_holm"]) for row in rows if row["source"] == "here"]
    assert ours == [("meld", "", ""), ("again", "0.0", "1.0000")]
    assert multiemo(["table", "--tex"]) == 0
    assert "as published" not in capsys.readouterr().out  # it is of another test split
    whole = results.test.model_copy(update={"utterances": 2610})
    compare(variant(results, "meld", test=whole))
    assert multiemo(["table", "--tex"]) == 0
    assert "UniMSE, as published & -- &" in capsys.readouterr().out


def test_without_a_model_the_command_says_what_to_do(compare, capsys):
    compare()
    assert multiemo(["table", "--tex"]) == 1
    assert capsys.readouterr().err == (
        "multiemo: error: data/models: no model of params.yaml is evaluated; run dvc repro\n"
    )


def test_without_a_model_the_page_says_so(compare):
    page = compare()
    check_that_it_stands_alone(page)
    assert "There are no results yet" in page
    assert "Scores are percentages" not in page


def test_an_encoder_that_has_seen_labels_is_named_so(trained, compare):
    results = trained["lab"]
    seen = results.encoders | {"audio": "wav2vec 2.0 from superb/wav2vec2-base-superb-er"}
    page = compare(
        results, variant(results, "other", encoders=seen), variant(results, "third", encoders=seen)
    )
    words = "audio: wav2vec 2.0 from superb/wav2vec2-base-superb-er: trained on labels of IEMOCAP"
    assert page.count(words) == 1
    assert "has seen labels" not in compare(results)


def test_untrained_encoders_are_named_once_and_only_of_models_that_see_them(trained, compare):
    results = trained["lab"]
    text = variant(results, "words", modalities=("text",), encoders={"text": results.encoders["text"]})
    other = variant(results, "other", encoders=results.encoders | {"visual": "UNTRAINED ResNet-50 (seed 3)"})
    page = compare(results, text, other, variant(results, "again"))
    warning = page[page.index("Untrained encoders.") : page.index("</ul>", page.index("Untrained encoders."))]
    assert re.findall("<li>(.*?)</li>", warning) == [
        "visual: UNTRAINED ResNet-101 (random weights, seed 0)",
        "visual: UNTRAINED ResNet-50 (seed 3)",
    ]
    assert re.findall(r">(\w+)</a> \(untrained\)", page) == ["lab", "other", "again"]
    assert "Untrained" not in compare(text)


def test_a_test_split_without_labels_is_said_and_validation_is_shown(trained, compare, capsys):
    page = compare(variant(trained["lab"], "lab", test=None, test_best_epoch={}))
    check_that_it_stands_alone(page)
    assert "The test split has no labelled utterance" in page
    assert "no labels" in page
    assert "F1 by class on dev" in page
    assert "compare: lab: no labels in test" in capsys.readouterr().out


def test_each_seed_has_its_scores(trained, compare):
    results = trained["lab"]
    by_seed = tables(compare(results))["Weighted F1 by seed"]
    assert [row[0] for row in by_seed] == ["seed", "0", "1"]
    tested = column(by_seed, "test")
    assert tested == {str(seed): f"{results.test.seeds[seed].weighted_f1:.2f}" for seed in (0, 1)}


def test_names_are_text_and_never_markup(tmp_path, monkeypatch, compare):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MULTIEMO_WORKERS", "1")
    features = small_features.recordings()
    results = train("odd", replace(features, corpus="<i>lab</i>", label_names=("<b>calm</b>", "up & $x$")))
    page = compare(variant(results, "odd", encoders={"text": '<script>alert("x")</script>'}))
    check_that_it_stands_alone(page)
    assert "<b>" not in page
    assert "<i>" not in page
    assert "up &amp; $x$" in page
    assert "&lt;script&gt;" in page


@pytest.mark.skipif(not PAPER.is_file(), reason="the paper's text is not here")
@pytest.mark.parametrize(("classes", "column_number"), [(IEMOCAP, 1), (MELD, 2)])
def test_published_figures_are_those_printed_in_the_paper(classes, column_number):
    text = re.sub(r"</?b>|</sub>", "", PAPER.read_text(encoding="utf-8")).replace(" <sub>", " ")
    rows = [line.split("\t") for line in text.splitlines() if "\t" in line]
    published = published_for(classes)
    assert published is not None
    place = next(number for number, row in enumerate(rows) if published.corpus in row and row[0] == "Models")
    header = [name.lower().replace("angry", "anger") for name in rows[place + 1] if name]
    assert [name for name in header if name != "weighted-f1"] == list(published.classes)
    printed = {row[0]: row[1:] for row in rows[place + 2 : place + 2 + len(published.models)]}
    assert printed == {
        model: ["-" if value is None else f"{value:.2f}" for value in values]
        for model, values in published.models.items()
    }
    place = next(number for number, row in enumerate(rows) if row[0] == "Modality")
    assert published.modalities == {
        frozenset(row[0].lower().split(" + ")): float(row[column_number])
        for row in rows[place + 1 : place + 7]
    }


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("width_px", [390, 1200])
def test_in_a_browser_the_page_fits_the_screen_without_errors(trained, compare, tmp_path, width_px):
    # More than eight classes, one of them long: their matrix has the page's whole width.
    names = (*MELD, "enthusiastic_and_excited_beyond_measure", "calm")
    scores = trained["meld"].test.model_copy(
        update={
            "f1": dict.fromkeys(names, 50.0),
            "f1_std": None,
            "support": dict.fromkeys(names, 3),
            "confusion": np.ones((9, 9), int).tolist(),
        }
    )
    many = variant(trained["meld"], "many_classes", label_names=names, test=scores, dev=None)
    long = variant(trained["meld"], "a_model_that_has_a_name_longer_than_a_phone_is_wide")
    shown = show(compare(many, trained["meld"], long), width_px, tmp_path)
    assert (shown.width_px, shown.needed_px) == (width_px, width_px)
    assert shown.tallest_row_px < 110
    assert (shown.figures, shown.errors) == (7, "")
