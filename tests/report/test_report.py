"""The stage report: what its page says of a corpus and its features, and how it behaves in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

import stages.report
from pipeline.errors import UserError
from pipeline.features.content import Features
from pipeline.features.file import write_features
from pipeline.manifest import Medium, Utterance, write_labels, write_table
from pipeline.params import MODALITIES
from pipeline.report.summary import write_summary
from pipeline.store.h5 import write_h5
from tests import small_features
from tests.dvc_cache import move_into_cache
from tests.report.pages import CHROMIUM, check_that_it_stands_alone, show

ENCODERS = {
    "text": {"kind": "transformers", "weights": "untrained"},
    "audio": {"kind": "opensmile"},
    "visual": {"kind": "resnet", "weights": "untrained"},
}


class Project:
    """A folder with params.yaml and everything that the report of corpus ``first`` reads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "data/first"

    def report(self, features: Features, modalities=MODALITIES, remarks=()) -> str:
        """The page on a corpus of these features."""
        self.write(features, modalities, remarks)
        stages.report.main("first")
        return (self.folder / "report.html").read_text(encoding="utf-8")

    def write(self, features: Features, modalities=MODALITIES, remarks=()) -> None:
        entry = {"format": "meld", "root": "raw", "modalities": list(modalities)}
        entry |= {"max_unobserved": dict.fromkeys(MODALITIES, 1.0)}
        entry |= {section: {} for section in ("faces", "window", "finetune", "report")}
        entry |= {name: {"encoder": ENCODERS[name]} if name in modalities else {} for name in MODALITIES}
        with (self.root / "params.yaml").open("w", encoding="utf-8") as file:
            YAML(typ="safe").dump({"corpora": {"first": entry}}, file)
        sources = {
            name: {
                "encoder": features.provenance["encoders"][name],
                "settings": features.provenance["sources"][name]["settings"],
                "items_sha256": "0",
                "versions": {"numpy": "2"},
                "devices": ["cpu"],
            }
            for name in sorted(modalities)
        }
        kept = {name: features.modalities[name] for name in modalities}
        provenance = features.provenance | {"sources": sources}
        write_features(self.folder / "features.h5", replace(features, modalities=kept, provenance=provenance))
        write_manifest(self.folder, replace(features, modalities=kept), remarks)
        write_faces(self.folder / "faces.h5", features if "visual" in modalities else None)


def write_manifest(folder: Path, features: Features, remarks: Sequence[str]) -> None:
    names = features.label_names
    columns = zip(
        features.id, features.split, features.dialogue, features.position, features.label, strict=True
    )
    rows = [
        Utterance(str(u), str(s), str(d), int(p), "Ann", names[label] if label >= 0 else "", "words")
        for u, s, d, p, label in columns
    ]
    write_table(folder / "utterances.csv", rows, Utterance)
    write_labels(folder / "labels.json", names)
    clips = [Medium(row.id, row.dialogue, "a.mp4", duration_s=1.0 + row.position) for row in rows]
    write_table(folder / "media.csv", clips, Medium)
    write_summary(folder, rows, clips, {}, remarks)
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
def features() -> Features:
    return small_features.meld()


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def test_the_page_says_what_was_found_and_asks_nothing_of_a_network(project, features):
    page = project.report(features)
    outline = check_that_it_stands_alone(page)
    assert outline.sections() == ["corpus", "observed", "faces", "features", "provenance"]
    assert "<img" not in page, "no picture of a face unless a param asks for it"
    assert page.index("Untrained: visual.") < page.index('<section id="corpus">')
    count = len(features)
    assert f"{3 * count:,} faces in {3 * count:,} sampled frames; 66.7 % of the frames" in page
    for modality in features.modalities.values():
        assert f'{modality.observed.sum()} <span class="muted">{100 * modality.observed.mean():.1f} %' in page
    assert "clip missing" in page
    assert "weights, untrained</dt><dd>resnet101, seed 0" in page
    assert "<dd>text, audio, visual</dd>" in page


def test_vectors_that_are_constant_or_repeated_are_counted(project, features):
    audio = features.modalities["audio"]
    values = audio.features.copy()
    first, second, *_ = np.flatnonzero(audio.observed)
    values[second] = values[first]
    values[audio.observed, 7] = 1.5
    changed = features.modalities | {"audio": replace(audio, features=values)}
    page = project.report(replace(features, modalities=changed))
    row = next(line for line in page.splitlines() if '<th scope="row">audio</th><td>30</td>' in line)
    lowest, highest = values[audio.observed].min(), values[audio.observed].max()
    assert row.endswith(f"<td>{lowest:.4g}</td><td>{highest:.4g}</td><td>1</td><td>2</td></tr>")


def test_the_page_needs_no_model_and_names_the_one_that_compares_them(project, features):
    page = project.report(features)
    assert not (project.root / "data/models").exists()
    assert "<code>data/models/compare.html</code>" in page
    assert "Weighted F1" not in page


def test_an_encoder_that_has_seen_labels_is_named_above_all(project, features):
    assert "has seen labels" not in project.report(features)
    encoders = features.provenance["encoders"] | {"text": "roberta from tae898/emoberta-base, not fine-tuned"}
    page = project.report(replace(features, provenance=features.provenance | {"encoders": encoders}))
    words = "text: roberta from tae898/emoberta-base, not fine-tuned: trained on labels of IEMOCAP and MELD"
    assert page.index(words) < page.index('<section id="corpus">')


def test_what_is_odd_about_the_annotations_stands_above_all(project, features):
    assert "Are the annotations" not in project.report(features)
    page = project.report(features, remarks=["classes that train lacks: 'happines' (1; is it <happiness>?)"])
    check_that_it_stands_alone(page)
    assert page.index("&#39;happines&#39; (1; is it &lt;happiness&gt;?)") < page.index(
        '<section id="corpus">'
    )


def test_equal_inputs_give_equal_bytes(project, features):
    first = project.report(features)
    cached = move_into_cache(project.folder, project.root / "cache")
    (project.folder / "quarantine.csv").unlink()  # which the fixture writes
    assert project.report(features) == first
    assert {path: path.read_bytes() for path in cached} == cached


@pytest.mark.parametrize("output", ["quarantine.csv", "manifest.json"])
def test_a_report_that_is_run_too_early_says_which_output_it_lacks(project, features, output):
    project.write(features, modalities=("text",))
    (project.folder / output).unlink()
    with pytest.raises(UserError, match=rf"{re.escape(output)} not found: run dvc repro, which makes it"):
        stages.report.main("first")


def test_text_alone_without_labels_in_a_split_is_reported(project, features):
    unlabelled = replace(features, label=np.where(features.split == "test", -1, features.label))
    page = project.report(unlabelled, modalities=("text",))
    check_that_it_stands_alone(page)
    assert "(unlabelled)" in page
    assert 'id="faces"' not in page
    assert "Untrained" not in page
    assert "Every utterance was observed in every modality." in page


def test_a_corpus_in_which_no_face_was_found_is_reported(project, features):
    project.write(features)
    arrays = {"id": np.array(features.id.tolist()), "frames_sampled": np.full(len(features), 3)}
    nothing = {
        "face_utterance": np.empty(0, int),
        "frame_index": np.empty(0, int),
        "box_px": np.empty((0, 4)),
    }
    settings = json.dumps({"settings": {"min_face_size_px": 20}})
    write_h5(project.folder / "faces.h5", arrays | nothing, {"provenance": settings})
    stages.report.main("first")
    page = (project.folder / "report.html").read_text(encoding="utf-8")
    assert f"0 faces in {3 * len(features):,} sampled frames; 0.0 % of the frames" in page


def test_names_of_classes_are_text_and_never_markup(project, features):
    page = project.report(replace(features, label_names=("<b>neutral</b>", "joy & $x$", *"abcde")))
    assert "<b>" not in page
    assert "joy &amp; $x$" in page
    check_that_it_stands_alone(page)


def test_coverage_is_also_a_plot_of_dvc(project, features):
    project.report(features)
    rows = (project.folder / "plots/coverage.csv").read_text().splitlines()
    assert rows[0] == "modality,split,observed_percent"
    train = features.split == "train"
    audio = 100 * features.modalities["audio"].observed[train].mean()
    assert f"audio,train,{audio:.2f}" in rows


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("width_px", [390, 1200])
def test_in_a_browser_the_page_fits_the_screen_without_errors(project, features, tmp_path, width_px):
    names = (*features.label_names[:6], "enthusiastic_and_excited_beyond_measure")
    shown = show(project.report(replace(features, label_names=names)), width_px, tmp_path)
    assert (shown.width_px, shown.needed_px) == (width_px, width_px)
    assert shown.tallest_row_px < 110
    assert (shown.figures, shown.spilt, shown.errors) == (4, 0, "")
