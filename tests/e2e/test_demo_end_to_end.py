"""The whole pipeline on the demo corpus, through DVC; the tests share one run and are read-only or undo."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from transformers import AutoModel

from pipeline.features.file import read_features
from pipeline.features.rules import find_problems
from pipeline.manifest import read_media, read_utterances
from pipeline.media.frames import sample_indices
from pipeline.report.results import read_results
from tests.documentation import Block, runnable_blocks
from tests.e2e.conftest import Clone
from tests.e2e.lab import stages_run
from tests.report.pages import check_that_it_stands_alone
from train.model import load_model

pytestmark = pytest.mark.e2e
EMOTIONS = {"neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger"}


@pytest.fixture
def data(finished: tuple[Clone, str]) -> Path:
    return finished[0].root / "data" / "demo"


@pytest.fixture
def trained(finished: tuple[Clone, str]) -> Path:
    return finished[0].root / "data" / "models" / "demo"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_run_ends_with_metrics_and_the_feature_file(finished: tuple[Clone, str]) -> None:
    printed = finished[1]
    after = printed[printed.index("Running stage 'evaluate@demo'") :]
    assert "weighted F1" in after
    assert "These figures say nothing about the method: text: UNTRAINED RoBERTa" in after
    assert "visual: UNTRAINED ResNet-101" in after
    assert "feature file: data/demo/features.h5" in after
    for stage in ("faces", "visual", "audio", "text"):
        assert f"{stage}: 16 of 16 dialogues to do, 0 stored" in printed
        assert "80/80" in printed


def test_a_second_run_does_nothing(finished: tuple[Clone, str]) -> None:
    assert "Running stage" not in finished[0].run("dvc", "repro")


def test_the_manifest_lists_every_annotated_utterance_in_order(data: Path) -> None:
    utterances, media = read_utterances(data / "utterances.csv"), read_media(data / "media.csv")
    assert [row.id for row in utterances] == [row.id for row in media]
    assert len(utterances) == 80
    assert len({row.dialogue for row in utterances}) == 16
    for split in ("train", "dev", "test"):
        assert {row.label for row in utterances if row.split == split} == EMOTIONS
    speakers = [{u.speaker for u in utterances if u.dialogue == d} for d in {u.dialogue for u in utterances}]
    assert all(2 <= len(names) <= 4 for names in speakers)


def test_the_faulty_clips_end_in_quarantine_with_their_reasons(data: Path) -> None:
    found = {(row["utterance"], row["modality"]): row["reason"] for row in rows(data / "quarantine.csv")}
    assert found.pop(("train_dia7_utt2", "audio")).startswith("cannot be opened")
    assert found.pop(("train_dia7_utt2", "visual")).startswith("cannot be opened")
    assert found == {
        ("train_dia2_utt2", "visual"): "no face found",
        ("train_dia4_utt0", "audio"): "silent",
        ("train_dia5_utt4", "audio"): "no sound track",
        ("train_dia9_utt0", "audio"): "clip missing",
        ("train_dia9_utt0", "visual"): "clip missing",
    }


def test_the_faces_file_names_frame_and_place_of_every_face(data: Path) -> None:
    media = read_media(data / "media.csv")
    with h5py.File(data / "faces.h5") as file:
        utterance, frame = file["face_utterance"][()], file["frame_index"][()]
        assert file["box_px"].shape == (len(utterance), 4)
        assert file["landmarks_px"].shape == (len(utterance), 5, 2)
        sampled = file["frames_sampled"][()]
    for row, clip in enumerate(media):
        frames = sample_indices(clip.frame_count, 20)
        assert set(frame[utterance == row].tolist()) <= set(frames)
        assert sampled[row] == len(frames)
    two_faces = [clip.id for clip in media].index("train_dia0_utt4")
    assert (utterance == two_faces).sum() > 30


def test_the_feature_file_is_sound_and_says_what_is_untrained(data: Path) -> None:
    features = read_features(data / "features.h5")
    assert find_problems(features) == []
    assert {name: m.features.shape for name, m in features.modalities.items()} == {
        "text": (80, 256), "audio": (80, 6373), "visual": (80, 1000),
    }  # fmt: skip
    for name, modality in features.modalities.items():
        observed = modality.features[modality.observed]
        assert len(np.unique(observed, axis=0)) == len(observed), f"{name}: two utterances have one vector"
    encoders = features.provenance["encoders"]
    assert encoders["visual"].startswith("UNTRAINED")
    assert encoders["text"].startswith("UNTRAINED")
    assert "openSMILE" in encoders["audio"]
    assert "torch" in features.provenance["sources"]["visual"]["versions"]


def test_the_text_encoder_loads_with_transformers_alone(data: Path) -> None:
    assert AutoModel.from_pretrained(data / "text_encoder").config.hidden_size == 256
    assert len(rows(data / "plots" / "finetune.csv")) == 3


def test_the_model_metrics_and_predictions_belong_together(trained: Path) -> None:
    model = load_model(trained / "model")
    metrics = json.loads((trained / "metrics.json").read_text(encoding="utf-8"))
    assert set(metrics["test"]["f1"]) == set(model.card.label_names) == EMOTIONS
    assert metrics["untrained"] == "text, visual"
    predictions = rows(trained / "predictions.csv")
    assert len(predictions) == 3 * 30
    probability = np.array(
        [[float(row[f"p_{name}"]) for name in model.card.label_names] for row in predictions]
    )
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)
    test = [row for row in predictions if row["split"] == "test"]
    right = sum(row["label"] == row["prediction"] for row in test)
    assert metrics["test"]["accuracy"] == pytest.approx(100 * right / len(test), abs=0.01)
    confusion = rows(trained / "plots" / "confusion.csv")
    assert [(row["actual"], row["predicted"]) for row in confusion] == [
        (row["label"], row["prediction"]) for row in test
    ]
    curves = rows(trained / "plots" / "curves.csv")
    assert [int(row["epoch"]) for row in curves] == 3 * list(range(1, 21))


def test_the_model_beats_logistic_regression_over_dev_and_test(
    finished: tuple[Clone, str], trained: Path
) -> None:
    results = read_results(trained.parent / "results/demo.json")
    assert results.dev is not None
    assert results.test is not None
    network = (results.dev.weighted_f1 + results.test.weighted_f1) / 2  # both have 15 utterances
    simplest = results.logistic_regression
    assert list(simplest) == ["text", "audio", "visual", "text + audio + visual"]
    for modalities in ("audio", "text + audio + visual"):
        assert network > (simplest[modalities]["dev"] + simplest[modalities]["test"]) / 2
    assert "logistic regression on each utterance alone: weighted F1 " in finished[1]


def test_dvcs_own_commands_show_the_results(finished: tuple[Clone, str]) -> None:
    clone = finished[0]
    assert "test.weighted_f1" in clone.run("dvc", "metrics", "show")
    assert "text, visual" in clone.run("dvc", "metrics", "show", "data/models/demo/metrics.json")
    assert "evaluate@demo" in clone.run("dvc", "dag")
    clone.run("dvc", "plots", "show")
    page = (clone.root / "dvc_plots" / "index.html").read_text(encoding="utf-8")
    for plot in ("plots_curves_csv", "plots_confusion_csv", "plots_finetune_csv", "plots_coverage_csv"):
        assert plot in page


def test_an_experiment_retrains_without_extracting_again(finished: tuple[Clone, str], trained: Path) -> None:
    clone = finished[0]
    printed = clone.run("dvc", "exp", "run", "-S", "models.demo.epochs=2")
    assert stages_run(printed) == ["code", "train@demo", "evaluate@demo", "compare"]
    assert len(rows(trained / "plots/curves.csv")) == 3 * 2
    clone.run("git", "checkout", "params.yaml")
    # The run-cache has the first run's results.
    assert "Running stage 'train@demo'" not in clone.run("dvc", "repro")
    assert len(rows(trained / "plots/curves.csv")) == 60


def test_a_sweep_is_queued_run_and_compared(finished: tuple[Clone, str], trained: Path) -> None:
    clone = finished[0]
    sweep = ("-S", "models.demo.epochs=1", "-S", "++models.demo.modalities=[text],[text,audio]")
    clone.run("dvc", "exp", "run", "--queue", *sweep, "evaluate@demo")
    printed = clone.run("dvc", "exp", "run", "--run-all")
    assert stages_run(printed) == ["code", "train@demo", "evaluate@demo"] * 2
    shown = [*csv.DictReader(clone.run("dvc", "exp", "show", "--csv").splitlines())]
    # Another test may have left an experiment of its own.
    experiments = [row for row in shown if row["Experiment"] and row["models.demo.epochs"] == "1"]
    assert len(experiments) == 2
    assert {row["models.demo.modalities"] for row in experiments} == {"['text']", "['text', 'audio']"}
    assert all(0 <= float(row["test.weighted_f1"]) <= 100 for row in experiments)
    assert len(rows(trained / "plots/curves.csv")) == 60  # the workspace is as it was


def test_an_ablation_is_a_line_and_costs_its_own_training(finished: tuple[Clone, str]) -> None:
    clone = finished[0]
    line = "  text: {features: data/demo/features.h5, modalities: [text], epochs: 1, batch_dialogues: 4}\n"
    clone.edit("params.yaml", "\nmodels:\n", f"\nmodels:\n{line}")
    try:
        printed = clone.run("dvc", "repro")
        assert stages_run(printed) == ["code", "train@text", "evaluate@text", "compare"]
        page = (clone.root / "data/models/compare.html").read_text(encoding="utf-8")
        assert page.count('<h3 id="model_') == 2
    finally:
        clone.run("git", "checkout", "params.yaml")
        clone.run("dvc", "repro")


def test_what_code_only_says_reruns_nothing_and_a_constant_what_can_reach_it(
    finished: tuple[Clone, str],
) -> None:
    clone = finished[0]
    try:
        clone.edit("pipeline/params.py", "PARAMS_FILE = ", "# The one file.\nPARAMS_FILE = ")
        clone.edit("pipeline/params.py", '"""Seed of everything random', '"""The seed of all that is random')
        signature = "(frame_count: int, wanted: int) -> list[int]:"
        clone.edit("pipeline/media/frames.py", signature, "(frame_count, wanted) -> object:")
        clone.edit("train/networks/multiemo.py", '"""Weights and constants', '"""The weights and constants')
        clone.edit("train/loop.py", "import Any, NamedTuple\n", "import Any, Final, NamedTuple\n")
        clone.edit("stages/audio.py", "media = read_media(", "media: list = read_media(")
        assert stages_run(clone.run("dvc", "repro")) == ["code"]
        clone.edit("stages/report.py", "LISTED = 200", "LISTED = 201")
        assert stages_run(clone.run("dvc", "repro")) == ["code", "report@demo"]
        clone.edit("pipeline/report/charts.py", "WIDTH_IN = 4.6", "WIDTH_IN = 4.7")
        ran = stages_run(clone.run("dvc", "repro"))
        assert sorted(ran) == ["code", "compare", "evaluate@demo", "report@demo"]
    finally:
        clone.run("git", "checkout", "pipeline", "stages", "train")
        assert stages_run(clone.run("dvc", "repro")) == []  # all of it is in the run-cache


def test_a_typo_stops_the_run_before_any_work(clone: Clone) -> None:
    clone.edit("params.yaml", "min_face_size_px: 60", "min_face_size: 60")
    printed = clone.run("dvc", "repro", check=False)
    expected = "code: error: params.yaml: corpora.demo.faces.min_face_size: unknown key"
    assert expected in printed
    assert not (clone.root / "data" / "raw").exists()
    assert "Traceback" not in printed


def test_missing_weights_stop_the_run_and_are_never_made_up(finished: tuple[Clone, str]) -> None:
    clone = finished[0]
    clone.edit("params.yaml", "weights: untrained}", "weights: models/resnet101/missing/folder}")
    try:
        printed = clone.run("dvc", "repro", "visual@demo", check=False)
        assert "weights: error: corpora.demo.visual.encoder: no model folder models/resnet101" in printed
        assert "Traceback" not in printed
    finally:
        clone.run("git", "checkout", "params.yaml")
        clone.run("dvc", "repro")


@pytest.mark.parametrize("exists", [True, False])
def test_a_root_without_a_corpus_says_what_was_looked_for_and_where(
    clone: Clone, tmp_path: Path, exists: bool
) -> None:
    root = tmp_path / "MELD.Raw"
    if exists:
        root.mkdir()
    clone.edit("params.yaml", "root: data/raw/demo", f"root: {root}")
    printed = clone.run("dvc", "repro", "manifest@demo", check=False)
    assert str(root) in printed
    assert "train_sent_emo.csv" in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("block", runnable_blocks(), ids=lambda block: f"{block.document}-line-{block.line}")
def test_what_the_documents_mark_as_runnable_runs(finished: tuple[Clone, str], block: Block) -> None:
    clone = finished[0]
    # The console script may be of another checkout; its modules are to be the clone's.
    clone.run("env", f"PYTHONPATH={clone.root}", *block.command)
    clone.run("git", "clean", "--force", "-d", "--quiet")


def test_a_film_is_analysed_by_the_models_own_stages_and_comes_back_from_elan(
    finished: tuple[Clone, str],
) -> None:
    clone = finished[0]
    document = (clone.root / "docs/analysing.md").read_text(encoding="utf-8")
    commands = document.partition("```sh demo\n")[2].partition("```")[0].splitlines()
    run = ("env", f"PYTHONPATH={clone.root}", "MULTIEMO_WORKERS=1", "bash", "-euc")
    try:
        printed = clone.run(*run, "\n".join(commands))
        assert "faces: 1 of 1 dialogues to do, 0 stored" in printed
        folder = clone.root / "talk/result"
        said = rows(folder / "predictions.csv")
        back = rows(clone.root / "talk/again/annotations.csv")
        for column in ("speaker", "text", "start_s", "end_s"):
            assert [row[column] for row in said] == [row[column] for row in back]
        assert len(said) == 6
        assert {row["observed"] for row in said} == {"audio + text + visual"}
        page = (folder / "page.html").read_text(encoding="utf-8")
        check_that_it_stands_alone(page)
        assert "Untrained encoders." in page
        # From another folder, by ELAN's file.
        again = (
            "cd talk; multiemo analyse talk.mp4 --transcript result/talk.eaf --utterances Dalia Emeka"
            " --like ../data/models/demo -o second"
        )
        printed = clone.run(*run, again)
        for stage in ("faces", "visual", "audio", "text"):
            assert f"{stage}: 0 of 1 dialogues to do, 1 stored" in printed
        second = clone.root / "talk/second"
        assert (second / "predictions.csv").read_bytes() == (folder / "predictions.csv").read_bytes()
        tiers = (second / "talk.eaf").read_text(encoding="utf-8")
        assert 'TIER_ID="predicted2@Dalia"' in tiers
    finally:
        clone.run("git", "clean", "--force", "-d", "--quiet")
