"""Every export read back as the code that it is for reads it."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet
import pytest

from pipeline.console.__main__ import main
from pipeline.exports.shared.conversations import share_of_first
from pipeline.exports.shared.reduction import fit_reduction, reduce_features
from pipeline.features.content import Features
from pipeline.features.file import write_features
from pipeline.features.rules import find_problems
from tests import small_features
from tests.exports import peers

Export = Callable[..., Path]
Reader = Callable[..., list[tuple[Any, ...]]]
MODALITIES = ("text", "audio", "visual")


@pytest.fixture
def export(tmp_path: Path, capsys) -> Export:
    """Export features through the command; the folder that was written."""

    def run(features: Features, name: str, *options: str) -> Path:
        source, folder = tmp_path / f"{features.corpus}.h5", tmp_path / f"{features.corpus}-{name}"
        write_features(source, features)
        assert main(["export", str(source), "--to", name, "-o", str(folder), *options]) == 0
        return folder

    return run


def rows_of(features: Features, dialogue: str) -> np.ndarray:
    return np.flatnonzero(features.dialogue == dialogue)


def test_the_authors_code_reads_meld(export: Export) -> None:
    features = small_features.meld()
    folder = export(features, "multiemo")
    training = ["dev_dia0", "train_dia0", "train_dia59", "train_dia61"]
    for train, names in ((True, training), (False, ["test_dia0", "test_dia279"])):
        found = peers.multiemo_dialogues(folder, "MELD", train)
        assert len(found) == len(names)
        for (*vectors, speakers, mask, labels), name in zip(found, names, strict=True):
            rows = rows_of(features, name)
            for vector, modality in zip(vectors, MODALITIES, strict=True):
                np.testing.assert_array_equal(vector.numpy(), features.modalities[modality].features[rows])
            assert speakers.shape == (len(rows), 9)
            assert mask.tolist() == [1] * len(rows)
            assert labels.tolist() == features.label[rows].tolist()


def test_the_authors_code_reads_iemocap_sorted_by_name(export: Export) -> None:
    features = small_features.iemocap()
    found = peers.multiemo_dialogues(export(features, "multiemo"), "IEMOCAP", train=True)
    for (text, _, _, speakers, _, labels), name in zip(
        found, ["Ses01F_impro01", "Ses01F_script01_1", "Ses02F_impro01"], strict=True
    ):
        rows = rows_of(features, name)
        np.testing.assert_array_equal(text.numpy(), features.modalities["text"].features[rows])
        assert speakers.tolist() == [[0, 1], [1, 0], [0, 1], [1, 0]]  # F, M, F, M
        assert labels.tolist() == [0, 1, 2, 3]  # happiness, sadness, neutral, anger


@pytest.mark.parametrize(
    ("to", "file", "read"),
    [
        ("dialoguernn", "IEMOCAP_features.pkl", peers.dialoguernn_dialogues),
        ("dialoguernn", "IEMOCAP_features_raw.pkl", peers.dialoguernn_dialogues),
        ("mmgcn", "IEMOCAP_features.pkl", peers.dialoguernn_dialogues),
        ("sdt", "iemocap_multimodal_features.pkl", peers.sdt_dialogues),
    ],
)
def test_conversation_models_read_iemocap(export: Export, to: str, file: str, read: Reader) -> None:
    features = small_features.iemocap()
    path = export(features, to) / file
    training = read(path, train=True)
    assert peers.validated_on(training, 0.34) == ["Ses01F_impro01"]  # the validation split, of three
    assert [dialogue[-1] for dialogue in training[1:]] == ["Ses01F_script01_1", "Ses02F_impro01"]
    ((text, visual, audio, speakers, _, labels, name),) = read(path, train=False)
    rows = rows_of(features, name)
    for values, modality in ((text, "text"), (visual, "visual"), (audio, "audio")):
        np.testing.assert_array_equal(values.numpy(), features.modalities[modality].features[rows])
    assert speakers.tolist() == [[0, 1], [1, 0], [0, 1], [1, 0]]
    assert labels.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("to", "file", "read", "modalities"),
    [
        ("mmgcn", "MELD_features_raw1.pkl", peers.mmgcn_dialogues, ("text", "visual", "audio")),
        ("dialoguernn", "MELD_features_raw.pkl", peers.dialoguernn_dialogues_of_meld, ("text", "audio")),
        ("sdt", "meld_multimodal_features.pkl", peers.sdt_dialogues, ("text", "visual", "audio")),
    ],
)
def test_conversation_models_read_meld_under_the_published_keys(
    export: Export, to: str, file: str, read: Reader, modalities: tuple[str, ...]
) -> None:
    features = small_features.meld()
    path = export(features, to) / file
    training, test = read(path, train=True), read(path, train=False)
    assert peers.validated_on(training, 0.25) == [1039]
    assert [dialogue[-1] for dialogue in training[1:]] == [0, 59, 61]
    assert [dialogue[-1] for dialogue in test] == [1153, 1153 + 279]
    *vectors, speakers, _, labels, _ = training[1]
    rows = rows_of(features, "train_dia0")
    for values, modality in zip(vectors, modalities, strict=True):
        np.testing.assert_array_equal(values.numpy(), features.modalities[modality].features[rows])
    assert speakers.argmax(dim=1).tolist() == [0, 1, 0]  # by first appearance in the dialogue
    assert labels.tolist() == features.label[rows].tolist()
    sentences = next(dict for dict in reversed(peers.load(path)) if isinstance(dict, Mapping) and dict)
    assert sentences[59] == features.text[rows_of(features, "train_dia59")].tolist()


@pytest.mark.parametrize(
    ("first", "keys", "share"), [(12, 120, 0.1), (114, 1152, 0.099), (1, 3, 0.4), (3, 3, 1)]
)
def test_a_share_takes_exactly_the_validation_dialogues(first: int, keys: int, share: float) -> None:
    assert share_of_first(first, keys) == share
    assert int(share * keys) == first  # as all of the peers compute it


def test_other_corpora_get_numbers_and_room_for_their_speakers(export: Export) -> None:
    features = small_features.recordings()
    training = peers.mmgcn_dialogues(export(features, "mmgcn") / "MELD_features_raw1.pkl", train=True)
    assert [dialogue[-1] for dialogue in training] == [2, 0, 1]
    speakers = training[1][3]
    assert speakers.shape == (10, 10)
    assert speakers.argmax(dim=1).tolist() == list(range(10))
    assert len(training[2][5]) == 1  # the utterance without a label is left out


def test_dialoguernn_needs_no_pictures_but_for_iemocap(tmp_path: Path, capsys) -> None:
    for make, status in ((small_features.meld, 0), (small_features.iemocap, 1)):
        features = make()
        seen = {name: each for name, each in features.modalities.items() if name != "visual"}
        source = tmp_path / f"{features.corpus}.h5"
        write_features(source, replace(features, modalities=seen))
        command = ["export", str(source), "--to", "dialoguernn", "-o", str(tmp_path / features.corpus)]
        assert main(command) == status
    assert "needs text, audio and visual features, and the file has no visual" in capsys.readouterr().err


HOSTILE = (
    "../../../outside_1", "S1/visit1_0", "/etc/cron.d/x", "..", "a\\b", "a%2Fb", "a/b", "two\nlines",
    "long" * 100, "長" * 100, "長" * 101, "Zoë 1.5_2",
)  # fmt: skip


def test_ids_that_are_no_file_names_stay_in_the_folder_and_apart(tmp_path: Path, capsys) -> None:
    rows = [("train", f"d{number}", "A", "calm", name) for number, name in enumerate(HOSTILE)]
    features = replace(small_features.build("lab", rows, ("calm",)), corpus="../lab")
    write_features(tmp_path / "f.h5", features)
    for to in ("merbench", "multiemo"):
        (tmp_path / to).mkdir()
        assert main(["export", str(tmp_path / "f.h5"), "--to", to, "-o", str(tmp_path / to / "a" / "b")]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.h5", "merbench", "multiemo"]
    assert [path.name for path in (tmp_path / "multiemo" / "a" / "b" / "Data").iterdir()] == ["%2E.%2Flab"]
    folder = tmp_path / "merbench" / "a" / "b"
    assert {path.name for path in (tmp_path / "merbench").rglob("*") if path.is_dir()} == {
        "a", "b", "features", "text-UTT", "audio-UTT", "visual-UTT",
    }  # fmt: skip
    samples = peers.merbench_samples(folder, "label.npz", "train_corpus")
    assert len(samples) == len(HOSTILE)
    for name, sample, row in zip(
        samples, samples.values(), features.modalities["text"].features, strict=True
    ):
        np.testing.assert_array_equal(sample["text"], row)
        assert len(f"{name}.npy".encode()) < 255
    assert "Zoë 1.5_2" in samples
    assert "11 ids are no names of files and are written otherwise: '../../../outside_1' as '%2E.%2F.." in (
        capsys.readouterr().out
    )


def test_mmsa_reads_each_utterance_as_a_sequence_of_one(export: Export) -> None:
    features = small_features.meld()
    path = export(features, "mmsa") / "feature.pkl"
    for mode, split in (("train", "train"), ("valid", "dev"), ("test", "test")):
        rows = np.flatnonzero(features.split == split)
        samples = peers.mmsa_samples(path, mode)
        assert [sample["id"] for sample in samples] == features.id[rows].tolist()
        for sample, row in zip(samples, rows, strict=True):
            assert sample["raw_text"] == features.text[row]
            assert sample["labels"].tolist() == [features.label[row]]
            assert sample["audio_lengths"] == sample["vision_lengths"] == 1
            for name, modality in (("text", "text"), ("audio", "audio"), ("vision", "visual")):
                np.testing.assert_array_equal(
                    sample[name].numpy(), features.modalities[modality].features[[row]]
                )


def test_merbench_reads_meld_with_its_own_numbers_and_names(export: Export) -> None:
    features = small_features.meld()
    folder = export(features, "merbench")
    classes = ("anger", "joy", "sadness", "neutral", "disgust", "fear", "surprise")
    for corpus, split in (("train_corpus", "train"), ("val_corpus", "dev"), ("test_corpus", "test")):
        samples = peers.merbench_samples(folder, "label.npz", corpus)
        rows = np.flatnonzero(features.split == split)
        assert list(samples) == [name.replace("dev_", "val_") for name in features.id[rows]]
        for sample, row in zip(samples.values(), rows, strict=True):
            assert classes[sample["emo"]] == features.label_names[features.label[row]]
            assert sample["val"] == -10
            np.testing.assert_array_equal(sample["audio"], features.modalities["audio"].features[row])


def test_merbench_reads_iemocap_as_one_corpus(export: Export) -> None:
    features = small_features.iemocap()
    samples = peers.merbench_samples(export(features, "merbench"), "label_6way.npz", "whole_corpus")
    assert {int(name[4]) for name in samples} == {1, 2, 5}  # it splits by session
    assert [sample["emo"] for sample in samples.values()] == features.label.tolist()


def test_parquet_keeps_unlabelled_and_unobserved_utterances(export: Export) -> None:
    features = small_features.recordings()
    table = pyarrow.parquet.read_table(export(features, "parquet") / "train.parquet")
    rows = np.flatnonzero(features.split == "train")
    assert table["id"].to_pylist() == features.id[rows].tolist()
    assert table["label"].to_pylist()[-2:] == [None, "calm"]
    audio = table["audio_features"].to_pylist()
    assert audio[small_features.UNOBSERVED] is None
    assert table["audio_reason"][small_features.UNOBSERVED].as_py() == "clip missing"
    np.testing.assert_array_equal(np.array(audio[0], np.float32), features.modalities["audio"].features[0])
    assert b"UNTRAINED" in table.schema.metadata[b"provenance"]


def test_hugging_face_reads_splits_with_class_labels(export: Export) -> None:
    features = small_features.recordings()
    loaded = datasets.load_from_disk(str(export(features, "datasets")))
    assert {name: len(part) for name, part in loaded.items()} == {"train": 12, "validation": 1, "test": 1}
    assert loaded["train"].features["label"].names == ["calm", "upset"]
    assert loaded["train"]["label"][9:] == [1, None, 0]
    np.testing.assert_array_equal(
        np.array(loaded["test"][0]["text_features"], np.float32), features.modalities["text"].features[-1]
    )


@pytest.mark.parametrize("to", ["multiemo", "dialoguernn", "mmgcn", "sdt", "mmsa", "merbench"])
def test_pickles_name_nothing_but_constructors_that_every_numpy_has(export: Export, to: str) -> None:
    folder = export(small_features.meld(), to)
    pickles = [path.read_bytes() for path in folder.rglob("*.pkl")]
    for archive in folder.rglob("*.npz"):
        with zipfile.ZipFile(archive) as members:
            # a .npy header of version 1.0: magic, version, its length in two bytes, itself
            for content in (members.read(name) for name in members.namelist()):
                pickles.append(content[10 + int.from_bytes(content[8:10], "little") :])
    named = set()

    class Recorder(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            named.add((module, name))
            return super().find_class(module, name)

    for content in pickles:
        Recorder(io.BytesIO(content)).load()
    assert named
    assert named <= {("numpy", "ndarray"), ("numpy", "array"), ("builtins", "bytearray")}


@pytest.mark.parametrize("to", ["multiemo", "mmgcn", "mmsa", "merbench", "parquet"])
def test_the_same_features_give_the_same_bytes(tmp_path: Path, to: str) -> None:
    write_features(tmp_path / "f.h5", small_features.meld())
    written = []
    for name in ("a", "b"):
        source, folder = str(tmp_path / "f.h5"), str(tmp_path / name)
        assert main(["export", source, "--to", to, "-o", folder, "--reduce", "audio=4"]) == 0
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        written.append({path.relative_to(tmp_path / name): path.read_bytes() for path in files})
    assert written[0] == written[1]


def test_reduction_is_pca_of_the_observed_training_split(export: Export) -> None:
    features = small_features.meld()
    folder = export(features, "mmgcn", "--reduce", "audio=4")
    kept = np.load(folder / "reduction_audio.npz")
    audio = features.modalities["audio"]
    training = audio.features[audio.observed & (features.split == "train")].astype(np.float64)
    standard = (training - training.mean(axis=0)) / training.std(axis=0)
    centred = standard - standard.mean(axis=0)
    variance = np.linalg.svd(centred, compute_uv=False) ** 2
    np.testing.assert_allclose(kept["explained_variance_ratio"], variance[:4] / variance.sum(), rtol=1e-6)

    (*_, found, _, _, _, _) = peers.mmgcn_dialogues(folder / "MELD_features_raw1.pkl", train=False)[0]
    row = rows_of(features, "test_dia0")
    by_hand = ((audio.features[row] - kept["mean"]) * kept["scale"]).clip(-10, 10) - kept["centre"]
    np.testing.assert_allclose(found.numpy(), by_hand @ kept["components"].T, rtol=1e-4, atol=1e-5)


def test_a_reduction_is_told_so_that_no_model_takes_another_one_for_its_own() -> None:
    features = small_features.meld()
    swapped = replace(features, split=np.where(features.split == "train", "dev", "train").astype(object))
    first, second = (
        reduce_features(each, "audio", fit_reduction(each, "audio", 2)) for each in (features, swapped)
    )
    for each in (first, second):
        assert each.provenance["encoders"]["audio"].endswith(", reduced to 2 dimensions by PCA")
    told = [each.provenance["sources"]["audio"]["settings"]["reduction"] for each in (first, second)]
    assert told[0]["sha256"] != told[1]["sha256"]
    assert find_problems(first) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--reduce", "audio=10"], "training split observed utterances (8); ask for at most 8"),
        (["--reduce", "audio=4", "--reduce", "audio=2"], "--reduce audio: given more than once"),
        (["--reduce", "smell=2"], "the file has no smell features (it has: audio, text, visual)"),
    ],
)
def test_an_impossible_reduction_is_refused_before_anything_is_written(
    tmp_path: Path, options: list[str], message: str, capsys
) -> None:
    write_features(tmp_path / "f.h5", small_features.meld())
    command = ["export", str(tmp_path / "f.h5"), "--to", "mmgcn", "-o", str(tmp_path / "out"), *options]
    assert main(command) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path, capsys) -> None:
    write_features(tmp_path / "f.h5", small_features.meld())
    assert main(["export", str(tmp_path / "f.h5"), "--to", "mmsa", "-o", str(tmp_path)]) == 1
    assert "is not an empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["f.h5"]


def test_what_the_reader_should_know_is_said(tmp_path: Path, capsys) -> None:
    write_features(tmp_path / "f.h5", small_features.recordings())
    assert main(["export", str(tmp_path / "f.h5"), "--to", "multiemo", "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "note: 1 unlabelled utterances are left out" in printed
    assert "note: 1 utterances have zeros for audio, which was not observed" in printed
    assert "note: text has 8 dimensions, and the authors' code says 768: change it there" in printed


@pytest.mark.parametrize(
    ("to", "corpus", "widths"),
    [
        ("sdt", small_features.iemocap, "audio has 30 dimensions, and SDT's code says 1582: change it there"),
        (
            "mmgcn",
            small_features.meld,
            "visual has 12 dimensions, and MMGCN's code says 342: change it there",
        ),
        (
            "dialoguernn",
            small_features.iemocap,
            "text has 8 dimensions, and DialogueRNN's code says 100: change it",
        ),
    ],
)
def test_the_share_for_validation_and_other_widths_are_said(
    to: str, corpus: Callable[[], Features], widths: str, tmp_path: Path, capsys
) -> None:
    write_features(tmp_path / "f.h5", corpus())
    assert main(["export", str(tmp_path / "f.h5"), "--to", to, "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "note: the validation split is the first 1 of" in printed
    assert f"note: {widths}" in printed
    if corpus is small_features.iemocap:
        share = "of 3 training keys: code that validates on a share of 0.4 takes exactly these"
        assert f"note: the validation split is the first 1 {share}" in printed
