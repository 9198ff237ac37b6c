from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.features.content import Features, ModalityFeatures
from pipeline.features.file import read_features, write_features
from pipeline.features.rules import find_problems


def features() -> Features:
    random = np.random.default_rng(0)
    reason = np.array(["", "clip missing", "", ""])
    observed = reason == ""
    return Features(
        corpus="tiny",
        label_names=("neutral", "joy"),
        id=np.array(["train_dia0_utt0", "train_dia0_utt1", "dev_dia0_utt0", "test_dia0_utt0"]),
        split=np.array(["train", "train", "dev", "test"]),
        dialogue=np.array(["train_dia0", "train_dia0", "dev_dia0", "test_dia0"]),
        position=np.array([0, 1, 0, 0]),
        speaker=np.array(["Zoë", "", "A", "B"]),
        label=np.array([0, 1, 1, -1]),
        text=np.array(["Hi.", "“No” – 😀", "", "x"]),
        start_s=np.array([np.nan, 1.5, 0, 0]),
        end_s=np.array([np.nan, 2.5, 1, 1]),
        modalities={
            "text": ModalityFeatures(random.random((4, 3), np.float32), np.ones(4, bool), np.array([""] * 4)),
            "audio": ModalityFeatures(
                random.random((4, 5), np.float32) * observed[:, None].astype(np.float32), observed, reason
            ),
        },
        provenance={"encoders": {"text": "UNTRAINED ..."}},
    )


def test_a_feature_file_gives_back_what_was_written(tmp_path: Path) -> None:
    path, written = tmp_path / "features.h5", features()
    write_features(path, written)
    found = read_features(path)
    for name in ("id", "split", "dialogue", "position", "speaker", "label", "text", "start_s", "end_s"):
        np.testing.assert_array_equal(getattr(found, name), getattr(written, name))
    assert found.label_names == written.label_names
    assert found.provenance == written.provenance
    assert len(found.digest) == 64
    for name, modality in written.modalities.items():
        np.testing.assert_array_equal(found.modalities[name].features, modality.features)
        np.testing.assert_array_equal(found.modalities[name].observed, modality.observed)
        np.testing.assert_array_equal(found.modalities[name].reason, modality.reason)


def test_a_row_that_was_moved_is_named(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    write_features(path, features())
    with h5py.File(path, "a") as file:
        file["audio/features"][[2, 3]] = file["audio/features"][:][[3, 2]]
    with pytest.raises(
        UserError, match="audio: rows that are not what was written: dev_dia0_utt0, test_dia0_utt0"
    ):
        read_features(path, ["audio"])


def test_a_file_says_the_range_of_what_was_observed(tmp_path: Path) -> None:
    written = features()
    write_features(tmp_path / "features.h5", written)
    observed = written.modalities["audio"].features[written.modalities["audio"].observed]
    with h5py.File(tmp_path / "features.h5") as file:
        np.testing.assert_array_equal(file["audio/minimum"], observed.min(axis=0))
        np.testing.assert_array_equal(file["audio/maximum"], observed.max(axis=0))


def test_the_format_is_readable_without_our_code(tmp_path: Path) -> None:
    write_features(tmp_path / "features.h5", features())
    with h5py.File(tmp_path / "features.h5") as file:
        assert file["audio/features"].shape == (4, 5)
        assert file["audio/features"].dtype == np.float32
        assert file["utterances/text"][1].decode() == "“No” – 😀"
        assert file.attrs["labels"] == '["neutral", "joy"]'


def test_only_the_modalities_asked_for_are_read(tmp_path: Path) -> None:
    write_features(tmp_path / "features.h5", features())
    assert list(read_features(tmp_path / "features.h5", ["audio"]).modalities) == ["audio"]
    with pytest.raises(UserError, match="holds no visual features"):
        read_features(tmp_path / "features.h5", ["visual"])


def spoilt(**changes) -> Features:
    return replace(features(), **changes)


def audio(**changes) -> Features:
    whole = features()
    return replace(
        whole, modalities=whole.modalities | {"audio": replace(whole.modalities["audio"], **changes)}
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (spoilt(id=np.array(["a", "a", "b", "c"])), "repeat"),
        (spoilt(split=np.array(["train", "train", "val", "test"])), "splits other than"),
        (spoilt(label=np.array([0, 2, 0, 0])), "outside the label names"),
        (spoilt(dialogue=np.array(["a", "b", "a", "b"])), "not contiguous"),
        (spoilt(position=np.array([0, 2, 0, 0])), "positions do not count"),
        (spoilt(split=np.array(["train", "dev", "dev", "test"])), "in several splits"),
        (spoilt(text=np.array(["a"])), "utterances/text has the shape [1], not [N = 4]"),
        (audio(features=np.full((4, 5), np.nan, np.float32)), "not all finite"),
        (audio(features=np.ones((4, 5), np.float32)), "not zero where"),
        (audio(features=np.zeros((4, 5))), "audio/features is float64, not float32"),
        (audio(observed=np.ones(4, bool)), "reason"),
        (audio(features=np.zeros((3, 5), np.float32)), "the shape [3, 5], not [N = 4, D = 5]"),
        (audio(features=np.zeros((4, 0), np.float32)), "features have no dimension"),
        (audio(reason=np.array(["", "a\0b", "", ""])), "a character that no text has"),
        (spoilt(speaker=np.array(["", "", "", "\ud83d"], object)), "half a surrogate pair"),
        (spoilt(id=np.array(["a", "", "b", "c"])), "has no id"),
        (spoilt(label_names=("joy", "anger", "joy")), "labels has joy more than once"),
        (spoilt(start_s=np.array([np.nan, 3, 0, 0])), "no span of seconds: train_dia0_utt1"),
        (spoilt(start_s=np.array([0.0, 1, 0, 0])), "no span of seconds: train_dia0_utt0"),
        (spoilt(end_s=np.array([np.nan, np.inf, 1, 1])), "no span of seconds: train_dia0_utt1"),
        (spoilt(modalities={}), "it holds no modality"),
        (spoilt(provenance={"encoders": ["text"]}), "provenance: encoders is no JSON object"),
    ],
)
def test_a_broken_rule_is_found_and_never_written(tmp_path: Path, content: Features, problem: str) -> None:
    assert find_problems(features()) == []
    assert any(problem in found for found in find_problems(content))
    with pytest.raises(UserError, match="not written"):
        write_features(tmp_path / "features.h5", content)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_feature_files_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    with pytest.raises(UserError, match="no such feature file"):
        read_features(path)
    path.write_bytes(b"no HDF5")
    with pytest.raises(UserError, match="not a readable feature file"):
        read_features(path)
    write_features(path, features())
    with h5py.File(path, "a") as file:
        file.attrs["schema"] = 0
    with pytest.raises(UserError, match="schema 0"):
        read_features(path)


def test_a_changed_value_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "features.h5"
    write_features(path, features())
    with h5py.File(path, "a") as file:
        file["utterances/label"][0] = 1
    with pytest.raises(UserError, match="does not match its digest"):
        read_features(path)
