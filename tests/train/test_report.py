"""The stage report: what its page says, and how it behaves in a browser."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

import stages.evaluate
import stages.report
import stages.train
from pipeline.corpora.annotations.labels import IEMOCAP, MELD
from pipeline.features.file import Features, write_features
from pipeline.manifest import Medium, Utterance, write_table
from pipeline.params import MODALITIES
from pipeline.report.published import published_for
from pipeline.store.h5 import write_h5

PAPER = Path(__file__).parents[3] / "shared" / "paper" / "multiemo.md"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SMALL = {
    "hidden_size": 16, "audio_size": 8, "feedforward_size": 24, "layers": 1, "heads": 2, "epochs": 2,
    "batch_dialogues": 4,
}  # fmt: skip
VOID = {"meta", "link", "img", "br", "path", "use", "rect", "circle"}


class Project:
    """A folder with params.yaml and everything that evaluation and report read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries: dict[str, dict] = {}

    def add(self, name: str, features: Features, modalities=MODALITIES, **report) -> None:
        """Write the files of an entry of the study ``first``, and train its model."""
        self.entries[name] = (
            {"format": "meld", "root": "raw", "modalities": list(modalities)}
            | {"train": SMALL | {"modalities": list(modalities)}, "report": {"study": "first"} | report}
            | {"visual": {"weights": "untrained"}, "finetune": {"encoder": "untrained"}}
            | {"max_unobserved": dict.fromkeys(MODALITIES, 1.0)}
            | {section: {} for section in ("faces", "audio", "window", "text")}
        )
        YAML().dump({"corpora": self.entries}, self.root / "params.yaml")
        folder = self.root / "data" / name
        kept = {key: replace(features.modalities[key]) for key in modalities}
        sources = {
            key: {
                "encoder": features.provenance["encoders"][key],
                "items_sha256": "0",
                "versions": {"numpy": "2"},
            }
            for key in kept
        }
        write_features(
            folder / "features.h5",
            replace(features, modalities=kept, provenance=features.provenance | {"sources": sources}),
        )
        write_manifest(folder, features)
        write_faces(folder / "faces.h5", features if "visual" in modalities else None)
        stages.train.main(name)
        stages.evaluate.main(name)

    def report(self, name: str) -> str:
        stages.report.main(name)
        return (self.root / "data" / name / "report.html").read_text(encoding="utf-8")


def write_manifest(folder: Path, features: Features) -> None:
    names = features.label_names
    columns = zip(
        features.id, features.split, features.dialogue, features.position, features.label, strict=True
    )
    rows = [
        Utterance(str(u), str(s), str(d), int(p), "Ann", names[label] if label >= 0 else "", "words")
        for u, s, d, p, label in columns
    ]
    write_table(folder / "utterances.csv", rows, Utterance)
    clips = [Medium(row.id, row.dialogue, "a.mp4", duration_s=1.0 + row.position) for row in rows]
    write_table(folder / "media.csv", clips, Medium)
    lacking = [
        f"{u},{name},{reason}"
        for name, modality in features.modalities.items()
        for u, reason in zip(features.id, modality.reason, strict=True)
        if reason
    ]
    (folder / "quarantine.csv").write_text("\n".join(["utterance,modality,reason", *lacking, ""]))


def write_faces(path: Path, features: Features | None) -> None:
    """Two faces in the first frame of every utterance, one in the second and none in the third."""
    count = 0 if features is None else len(features)
    arrays = {"id": np.array([] if features is None else features.id.tolist(), dtype=str)}
    if count:
        corners = np.array([[0, 0, 50, 60], [60, 0, 90, 40], [0, 0, 50, 62]], np.float32)
        arrays |= {
            "frames_sampled": np.full(count, 3),
            "face_utterance": np.repeat(np.arange(count), 3),
            "frame_index": np.tile([0, 0, 5], count),
            "box_px": np.tile(corners, (count, 1)),
        }
    write_h5(path, arrays, {"provenance": json.dumps({"settings": {"min_face_size_px": 20}})})


@pytest.fixture
def features(make_features) -> Features:
    made = make_features()
    encoders = {"text": "RoBERTa", "audio": "openSMILE", "visual": "UNTRAINED ResNet-101, seed 0"}
    return replace(made, provenance={"encoders": encoders})


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setenv("MULTIEMO_DEVICE", "cpu")
    return Project(root)


class Outline(HTMLParser):
    """Ids, and elements left open or closed in the wrong order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.wrong: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_the_page_says_what_was_found_and_asks_nothing_of_a_network(project, features):
    project.add("first", features)
    page = project.report("first")
    outline = Outline(page)
    assert (outline.wrong, outline.open) == ([], [])
    for tag, attributes in outline.attributes:
        assert "src" not in attributes, "no picture of a face unless a param asks for it"
        assert (attributes.get("href") or attributes.get("xlink:href") or "#").startswith(("#", "data:"))
        if tag == "svg":
            assert attributes["role"] == "img"
            assert attributes["aria-label"]
    assert "url(http" not in page
    assert page.index("Untrained: visual.") < page.index("Weighted F1 on test")
    sections = [
        attributes["id"] for tag, attributes in outline.attributes if tag == "section" and "id" in attributes
    ]
    assert sections == [
        "results", "training", "comparison", "corpus", "observed", "faces", "features", "provenance",
    ]  # fmt: skip
    count = len(features)
    assert f"{3 * count:,} faces in {3 * count:,} sampled frames; 66.7 % of the frames" in page
    scores = json.loads((project.root / "data/first/metrics.json").read_text())["test"]
    assert f"<dd>{scores['weighted_f1']:.2f} %</dd>" in page
    for modality in features.modalities.values():
        assert f'{modality.observed.sum()} <span class="muted">{100 * modality.observed.mean():.1f} %' in page
    assert "no sound" in page
    assert "in the paper" not in page, "its classes are those of no corpus in the paper"


def test_equal_inputs_give_equal_bytes(project, features):
    project.add("first", features)
    written = [project.report("first") for _ in range(2)]
    assert written[0] == written[1]


def test_text_alone_without_test_labels_is_reported_on_validation(project, features, without_labels):
    project.add("first", without_labels(features, "test"), modalities=("text",))
    page = project.report("first")
    assert "The test split has no labelled utterance" in page
    assert "Weighted F1 on dev" in page
    assert "(unlabelled)" in page
    assert 'id="faces"' not in page
    assert "Untrained" not in page


def test_a_corpus_in_which_no_face_was_found_is_reported(project, features):
    project.add("first", features)
    arrays = {"id": np.array(features.id.tolist()), "frames_sampled": np.full(len(features), 3)}
    nothing = {
        "face_utterance": np.empty(0, int),
        "frame_index": np.empty(0, int),
        "box_px": np.empty((0, 4)),
    }
    settings = json.dumps({"settings": {"min_face_size_px": 20}})
    write_h5(project.root / "data/first/faces.h5", arrays | nothing, {"provenance": settings})
    assert f"0 faces in {3 * len(features):,} sampled frames; 0.0 % of the frames" in project.report("first")


def test_entries_of_one_study_are_compared(project, features):
    project.add("first", features)
    project.add("first_text", features, modalities=("text",))
    row = r'<th scope="row">(first\w*)[^<]*</th>.*?<td class="text">([^<]*)</td>'
    rows = re.findall(row, project.report("first"), re.DOTALL)
    assert rows == [("first", "text + audio + visual"), ("first_text", "text")]


def test_an_entry_that_was_taken_out_of_the_params_is_not_compared(project, features):
    project.add("first", features)
    left = project.root / "data/first/results/gone.json"
    left.write_text("{}")  # of an older version, too
    assert "gone" not in project.report("first")


def test_names_of_classes_are_text_and_never_markup(project, features):
    names = ("<b>neutral</b>", "joy & $x$", "anger")
    project.add("first", replace(features, label_names=names))
    page = project.report("first")
    assert "<b>" not in page
    assert "joy &amp; $x$" in page
    assert Outline(page).wrong == []


def test_the_papers_figures_stand_beside_its_classes_only(project, features):
    project.add("first", replace(features, label_names=MELD))
    page = project.report("first")
    assert "MultiEMO in Table 2 of the paper, on MELD itself" in page
    assert "Not comparable as they stand" in page
    assert "66.74 (Table 2, MultiEMO)" in page
    assert published_for(MELD[:6]) is None


@pytest.mark.parametrize(
    ("modalities", "changes", "expected"),
    [
        (("text", "audio"), {}, ("Table 3", 64.21)),
        (MODALITIES, {"fusion": "concat"}, ("Table 2, MultiEMO w/o MultiAttn", 62.50)),
        (MODALITIES, {"swfc_weight": 0}, ("Table 2, MultiEMO w/o SWFC loss", 63.83)),
        (MODALITIES, {"visextnet": False}, ("Table 2, MultiEMO w/o VisExtNet", 64.89)),
        (MODALITIES, {"fusion": "concat", "swfc_weight": 0}, None),
        (("text", "visual"), {"visextnet": False}, None),
    ],
)
def test_the_papers_figure_for_a_setting_is_that_of_its_ablation(modalities, changes, expected):
    meld = published_for(MELD)
    assert meld is not None
    setting = {"visextnet": True, "fusion": "multiattn", "swfc_weight": 0.4} | changes
    assert meld.same_setting(modalities, **setting) == expected


def test_visual_features_of_another_network_are_compared_with_the_papers_ablation(project, features):
    encoders = features.provenance["encoders"] | {"visual": "DenseNet-121"}
    project.add("first", replace(features, label_names=MELD, provenance={"encoders": encoders}))
    assert "64.89 (Table 2, MultiEMO w/o VisExtNet)" in project.report("first")


@pytest.mark.skipif(not PAPER.is_file(), reason="the paper's text is not here")
@pytest.mark.parametrize(("classes", "column"), [(IEMOCAP, 1), (MELD, 2)])
def test_published_figures_are_those_printed_in_the_paper(classes, column):
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
        frozenset(row[0].lower().split(" + ")): float(row[column]) for row in rows[place + 1 : place + 7]
    }


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("width_px", [390, 1200])
def test_in_a_browser_the_page_fits_the_screen_without_errors(project, features, tmp_path, width_px):
    # More than eight classes, one of them long: their matrix has the page's whole width.
    names = (*features.label_names, "enthusiastic_and_excited_beyond_measure", *"abcdef")
    project.add("first", replace(features, label_names=names))
    page = project.report("first")
    # In a frame, because a window of Chromium cannot be as narrow as a phone.
    probe = tmp_path / "probe.html"
    script = (
        "const d = document.querySelector('iframe').contentDocument.documentElement;"
        "const spilt = [...d.querySelectorAll('.tiles dd')].filter(e => e.scrollWidth > e.clientWidth);"
        "const figures = d.querySelectorAll('svg').length;"
        "document.body.dataset.found = [d.clientWidth, d.scrollWidth, figures, spilt.length]"
    )
    probe.write_text(
        f'<body onload="{html.escape(script)}"><iframe width="{width_px}" height="800" style="border:0" '
        f'srcdoc="{html.escape(page)}"></iframe>',
        encoding="utf-8",
    )
    done = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
         "--window-size=1280,900", "--hide-scrollbars", f"--user-data-dir={tmp_path / 'profile'}",
         "--dump-dom", probe.as_uri()],
        capture_output=True, text=True, timeout=120, check=True, env=os.environ | {"HOME": str(tmp_path)},
    )  # fmt: skip
    found = re.search(r'data-found="(\d+),(\d+),(\d+),(\d+)"', done.stdout)
    assert found is not None, done.stderr
    shown_px, needed_px, figures, spilt = map(int, found.groups())
    assert (shown_px, needed_px) == (width_px, width_px)
    assert (figures, spilt) == (6, 0)
    assert "CONSOLE" not in done.stderr
