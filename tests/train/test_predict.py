"""``multiemo predict``: features without labels, made by the same encoders or by others."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pipeline.transcripts.writers
from pipeline.console.__main__ import main
from pipeline.features.content import Features
from pipeline.features.file import read_features, write_features
from pipeline.manifest import Medium, write_table
from pipeline.params import ModelParams
from tests.train.saved_model import ENCODERS, SETTINGS, described, save_small_model
from tests.train.small import changed
from train.compatibility import check_same_encoders
from train.data import Dialogues
from train.loop import predict
from train.model import load_model


@pytest.fixture
def model(tmp_path: Path, make_features: Callable[..., Features], small_params: ModelParams) -> Path:
    """The folder of a model."""
    save_small_model(tmp_path / "model", make_features(), small_params)
    return tmp_path / "model"


@pytest.fixture
def recordings(make_features: Callable[..., Features]) -> Features:
    """Features of another corpus, without any label."""
    features = described(make_features(train=3, dev=1, test=2, seed=7))
    return replace(features, corpus="mine", label_names=(), label=np.full(len(features), -1))


def run(model: Path, features: Features, tmp_path: Path) -> tuple[int, list[dict[str, str]]]:
    write_features(tmp_path / "mine.h5", features)
    output = tmp_path / "predictions.csv"
    status = main(["predict", str(tmp_path / "mine.h5"), "--model", str(model), "-o", str(output)])
    if status:
        assert not output.exists()
        return status, []
    with output.open(encoding="utf-8", newline="") as file:
        return status, list(csv.DictReader(file))


def test_a_corpus_without_labels_gets_the_models_classes_averaged_over_seeds(
    model: Path, recordings: Features, tmp_path: Path, capsys
) -> None:
    status, rows = run(model, recordings, tmp_path)
    assert status == 0
    assert [row["id"] for row in rows] == recordings.id.tolist()
    assert {row["label"] for row in rows} == {""}
    trained = load_model(model)
    names = trained.card.label_names
    found = np.array([[float(row[f"p_{name}"]) for name in names] for row in rows])

    dialogues = Dialogues.from_features(recordings, trained.standardisation)
    spans = [span for part in dialogues.spans.values() for span in part]
    one_by_one = changed(trained.card.params, batch_dialogues=1)
    runs = [predict(trained.network(seed), dialogues, spans, one_by_one) for seed in (0, 1)]
    expected = np.zeros_like(found)
    for each in runs:
        expected[each.row] += each.probability / 2
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert [row["prediction"] for row in rows] == [names[best] for best in found.argmax(axis=1)]
    assert f"{len(rows)} utterances, by the model of small, seeds 0, 1" in capsys.readouterr().out


def test_labels_that_the_model_does_not_know_stand_beside_its_predictions(
    model: Path, recordings: Features, tmp_path: Path, capsys
) -> None:
    labelled = replace(recordings, label_names=("calm",), label=np.zeros(len(recordings), int))
    _, rows = run(model, labelled, tmp_path)
    assert {row["label"] for row in rows} == {"calm"}
    assert {row["prediction"] for row in rows} <= {"neutral", "joy", "anger"}
    printed = capsys.readouterr()
    assert "weighted F1" not in printed.out
    assert "no classes of the model (neutral, joy, anger) are not scored: calm" in printed.err


def test_labelled_utterances_are_scored_by_split_and_by_the_names_of_classes(
    model: Path, recordings: Features, tmp_path: Path, capsys
) -> None:
    """In another corpus the same classes have other numbers, and some utterances have no label."""
    _, rows = run(model, recordings, tmp_path)
    names = ("anger", "calm", "joy", "neutral")
    label = np.array([names.index(row["prediction"]) for row in rows])
    train = np.flatnonzero(recordings.split == "train")
    label[train] = np.where(label[train] == 0, 2, 0)  # every one of train wrong
    label[train[0]], label[train[1]] = -1, 1
    capsys.readouterr()
    run(model, replace(recordings, label_names=names, label=label), tmp_path)
    test = int((recordings.split == "test").sum())
    printed = capsys.readouterr().out.splitlines()
    assert f"train: weighted F1 0.00 over {len(train) - 2} labelled utterances" in printed
    assert f"test: weighted F1 100.00 over {test} labelled utterances" in printed


def test_scores_on_what_the_model_was_trained_on_are_said_to_be_such(
    make_features: Callable[..., Features], small_params: ModelParams, tmp_path: Path, capsys
) -> None:
    features = described(make_features())
    write_features(tmp_path / "mine.h5", features)
    save_small_model(tmp_path / "model", read_features(tmp_path / "mine.h5"), small_params)
    run(tmp_path / "model", features, tmp_path)
    note = "note: train and dev are what the model was trained and chosen on; test alone is new to it"
    assert note in capsys.readouterr().err.splitlines()
    run(tmp_path / "model", described(make_features(seed=7)), tmp_path)
    assert note not in capsys.readouterr().err


def test_what_was_not_observed_of_an_utterance_is_no_obstacle(
    model: Path, recordings: Features, tmp_path: Path, capsys
) -> None:
    blind = {
        name: replace(
            modality,
            features=np.zeros_like(modality.features),
            observed=np.zeros(len(recordings), bool),
            reason=np.array(["clip missing"] * len(recordings), dtype=object),
            digest=None,
        )
        for name, modality in recordings.modalities.items()
    }
    _, rows = run(model, replace(recordings, modalities=blind), tmp_path)
    assert all(np.isfinite(float(row["p_joy"])) for row in rows)
    assert f"of {len(recordings)} utterances nothing was observed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        (
            {"settings": {**SETTINGS, "text": {"weights": {"config.json": "0", "model.safetensors": "9"}}}},
            "text was made by RoBERTa, fine-tuned on the training split, with other weights",
        ),
        (
            {"encoders": {**ENCODERS, "audio": "openSMILE eGeMAPSv02"}},
            "audio was made by openSMILE eGeMAPSv02, and the model knows openSMILE",
        ),
        (
            {"settings": {**SETTINGS, "visual": {"weights": {"untrained": "resnet101, seed 1"}}}},
            "visual was made by ResNet-101, with other weights",
        ),
    ],
)
def test_features_of_other_encoders_are_refused_with_the_difference(
    model: Path, recordings: Features, tmp_path: Path, changed: dict[str, Any], word: str, capsys
) -> None:
    status, _ = run(model, described(recordings, **changed), tmp_path)
    assert status == 1
    error = capsys.readouterr().err
    assert word in error
    assert len(error.splitlines()) == 1


def test_features_of_which_nothing_tells_the_encoder_are_taken_with_a_note(
    model: Path, recordings: Features, tmp_path: Path, capsys
) -> None:
    encoders = {name: encoder for name, encoder in ENCODERS.items() if name != "audio"}
    settings = {**SETTINGS, "audio": {}}
    card = load_model(model).card
    unknown = card.model_copy(update={"encoders": encoders, "settings": {**card.settings, "audio": {}}})
    notes = check_same_encoders(
        described(recordings, encoders=encoders, settings=settings), Path("other.h5"), unknown
    )
    assert notes == ["audio: nothing says which encoder made it; only the widths are the same"]


def test_features_of_another_width_are_refused(
    model: Path, recordings: Features, tmp_path: Path, capsys
) -> None:
    audio = recordings.modalities["audio"]
    narrow = replace(audio, features=audio.features[:, :5], digest=None)
    status, _ = run(
        model, replace(recordings, modalities={**recordings.modalities, "audio": narrow}), tmp_path
    )
    assert status == 1
    assert "audio has 5 dimensions instead of 20" in capsys.readouterr().err


def test_a_modality_that_the_model_needs_and_the_file_lacks_is_named(
    model: Path, recordings: Features, tmp_path: Path, capsys
) -> None:
    only_text = replace(recordings, modalities={"text": recordings.modalities["text"]})
    status, _ = run(model, only_text, tmp_path)
    assert status == 1
    assert "holds no audio, visual features" in capsys.readouterr().err


def test_the_same_weights_in_other_words_and_other_settings_are_taken_with_a_note(
    model: Path, recordings: Features, tmp_path: Path, capsys
) -> None:
    encoders = {**ENCODERS, "text": "RoBERTa from data/small/text_encoder, not fine-tuned"}
    weights = {"config.json": "newer library", "model.safetensors": "1"}
    settings = {**SETTINGS, "text": {"window": {"past_utterances": 2}, "weights": weights}}
    status, _ = run(model, described(recordings, encoders, settings), tmp_path)
    assert status == 0
    assert capsys.readouterr().err == (
        "note: text: window.past_utterances is 2, and was 12 for the model's training\n"
    )


def test_a_setting_that_only_one_side_has_is_noted(
    model: Path, recordings: Features, tmp_path: Path, capsys
) -> None:
    """As one that was added later, or is left out at its default."""
    visual = {**SETTINGS["visual"], "params": {"who_is_who": True}}
    settings = {**SETTINGS, "visual": visual, "audio": {"channels": "mix"}}
    status, _ = run(model, described(recordings, settings=settings), tmp_path)
    assert status == 0
    assert capsys.readouterr().err.splitlines() == [
        "note: audio: channels is mix, and was not set for the model's training",
        "note: audio: silence_dbfs is not set, and was -70.0 for the model's training",
        "note: visual: params.who_is_who is True, and was not set for the model's training",
    ]


def test_how_faces_were_found_is_compared(model: Path, recordings: Features, tmp_path: Path, capsys) -> None:
    status, _ = run(model, described(recordings, frames_per_utterance=5), tmp_path)
    assert status == 0
    assert capsys.readouterr().err == (
        "note: visual: faces.frames_per_utterance is 5, and was 20 for the model's training\n"
    )


def test_probabilities_that_are_no_numbers_are_never_written(
    make_features: Callable[..., Features],
    small_params: ModelParams,
    recordings: Features,
    tmp_path: Path,
    capsys,
) -> None:
    unscaled = changed(small_params, unscaled=("text",))
    save_small_model(tmp_path / "model", make_features(), unscaled)
    text = recordings.modalities["text"]
    values = np.where(text.observed[:, None], np.full_like(text.features, 3e38), 0)
    huge = replace(text, features=values, digest=None)
    modalities = recordings.modalities | {"text": huge}
    status, _ = run(tmp_path / "model", replace(recordings, modalities=modalities), tmp_path)
    assert status == 1
    error = capsys.readouterr().err
    assert "get probabilities that are no numbers" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("command", ["predict", "explain --utterance test_dia0_utt0"])
def test_what_a_command_reads_is_never_what_it_overwrites(
    command: str, model: Path, recordings: Features, tmp_path: Path, capsys
) -> None:
    features = tmp_path / "mine.h5"
    write_features(features, recordings)
    before = features.read_bytes()
    with pytest.raises(SystemExit) as stopped:
        main([*command.split(), str(features), "--model", str(model), "-o", str(features)])
    assert stopped.value.code == 2
    assert "mine.h5: give a name that ends in " in capsys.readouterr().err
    assert features.read_bytes() == before


@pytest.mark.parametrize("suffix", [".eaf", ".vtt", ".TextGrid"])
def test_annotation_tools_get_a_file_of_each_film(
    model: Path, recordings: Features, tmp_path: Path, suffix: str, capsys
) -> None:
    spoken = replace(recordings, start_s=recordings.position * 2.0, end_s=recordings.position * 2.0 + 1.5)
    write_features(tmp_path / "mine.h5", spoken)
    arguments = ["predict", str(tmp_path / "mine.h5"), "--model", str(model)]
    dialogues = set(spoken.dialogue.tolist())
    assert main([*arguments, "-o", str(tmp_path / f"out{suffix}")]) == 0
    assert {path.stem for path in (tmp_path / "out").iterdir()} == dialogues
    assert f"{len(dialogues)} files in {tmp_path / 'out'}" in capsys.readouterr().out
    clips = [
        Medium(str(id), str(d), "clips/visit.mp4") for id, d in zip(spoken.id, spoken.dialogue, strict=True)
    ]
    write_table(tmp_path / "media.csv", clips, Medium)
    assert main([*arguments, "-o", str(tmp_path / f"out{suffix}")]) == 0
    assert (tmp_path / f"out{suffix}").is_file()


def test_a_writer_that_is_added_is_offered(
    model: Path, recordings: Features, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "words.py").write_text(
        'SUFFIX = ".words"\n\n\ndef write(recording):\n    return recording.utterances[0].text.encode()\n'
    )
    monkeypatch.setattr(pipeline.transcripts.writers, "__path__", [str(tmp_path)])
    spoken = replace(recordings, start_s=recordings.position * 2.0, end_s=recordings.position * 2.0 + 1.5)
    write_features(tmp_path / "mine.h5", spoken)
    output = tmp_path / "said.words"
    assert main(["predict", str(tmp_path / "mine.h5"), "--model", str(model), "-o", str(output)]) == 0
    assert {path.read_text() for path in (tmp_path / "said").iterdir()} == {"words"}


def test_an_annotation_that_is_there_is_not_replaced(
    model: Path, recordings: Features, tmp_path: Path, capsys
) -> None:
    spoken = replace(recordings, start_s=recordings.position * 2.0, end_s=recordings.position * 2.0 + 1.5)
    write_features(tmp_path / "mine.h5", spoken)
    own = tmp_path / "visits" / f"{spoken.dialogue[-1]}.eaf"
    own.parent.mkdir()
    own.write_text("by hand")
    written = str(tmp_path / "visits.eaf")
    assert main(["predict", str(tmp_path / "mine.h5"), "--model", str(model), "-o", written]) == 1
    assert f"{own}: is there, and may be an annotation by hand" in capsys.readouterr().err
    assert [path.read_text() for path in own.parent.iterdir()] == ["by hand"]


def test_whole_clips_last_as_long_as_the_manifest_says(
    model: Path, recordings: Features, tmp_path: Path, capsys
) -> None:
    write_features(tmp_path / "mine.h5", recordings)
    arguments = ["predict", str(tmp_path / "mine.h5"), "--model", str(model), "-o", str(tmp_path / "out.eaf")]
    assert main(arguments) == 1
    assert "have no times, and no media.csv beside the feature file" in capsys.readouterr().err
    clips = [
        Medium(str(id), str(dialogue), f"{id}.mp4", duration_s=1.25)
        for id, dialogue in zip(recordings.id, recordings.dialogue, strict=True)
    ]
    clips[-1] = replace(clips[-1], duration_s=0.0)  # a broken file
    write_table(tmp_path / "media.csv", clips, Medium)
    assert main(arguments) == 0
    written = sorted((tmp_path / "out").iterdir())
    assert [path.stem for path in written] == sorted(recordings.id.tolist()[:-1])
    assert f"such as {clips[-1].id}, are in no file; -o NAME.csv has them" in capsys.readouterr().err
    assert 'TIME_VALUE="1250"' in written[0].read_text(encoding="utf-8")


def test_a_table_says_when_what_was_said_and_what_was_observed(
    model: Path, recordings: Features, tmp_path: Path
) -> None:
    start_s = np.where(recordings.position == 0, np.nan, 1.5)
    spoken = replace(recordings, start_s=start_s, end_s=start_s + 1)
    _, rows = run(model, spoken, tmp_path)
    assert [(row["start_s"], row["end_s"]) for row in rows[:2]] == [("", ""), ("1.500", "2.500")]
    assert [row["text"] for row in rows] == recordings.text.tolist()
    assert rows[0]["observed"] == " + ".join(
        name for name, modality in recordings.modalities.items() if modality.observed[0]
    )
