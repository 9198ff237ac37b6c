"""``multiemo inspect`` and ``multiemo verify`` on sound and on damaged feature files."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.console.__main__ import main
from pipeline.features.file import write_features
from pipeline.store.code import PROJECT
from pipeline.store.h5 import CONTENT_SHA256, content_digest, read_h5
from tests import small_features
from tests.store.seals import cut_seal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The feature file of a little MELD."""
    write_features(tmp_path / "features.h5", small_features.meld())
    return tmp_path / "features.h5"


def test_inspect_says_what_is_there_and_how_it_was_made(path: Path, capsys) -> None:
    assert main(["inspect", str(path)]) == 0
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.splitlines()]
    assert ["utterances", "9", "2", "3", "14"] in lines
    assert ["dialogues", "3", "1", "2", "6"] in lines
    assert ["speakers", "3", "2", "2", "3"] in lines
    assert ["neutral", "1", "0", "0", "1"] in lines
    assert "audio: 30 dimensions by openSMILE ComParE_2016 functionals" in printed
    assert "observed      13 of 14 utterances (train 8 of 9, dev 2 of 2, test 3 of 3)" in printed
    assert "not observed  1: clip missing" in printed
    assert "visual: 12 dimensions by UNTRAINED ResNet-101" in printed
    assert "weights       model.safetensors abababababab..." in printed
    assert "made with     torch 2.12" in printed


def test_inspect_says_what_labels_an_encoder_has_seen_and_which_licence_forbids_to_sell(
    tmp_path: Path, capsys
) -> None:
    whole = small_features.meld()
    encoders = {
        "text": "roberta from FacebookAI/roberta-base, not fine-tuned",
        "audio": "wav2vec 2.0 from superb/wav2vec2-base-superb-er (layers -1; mean over time)",
        "visual": "openSMILE of a picture",
    }
    sources = {
        "text": {"licence": "mit"},
        "audio": {"licence": "cc-by-nc-sa-4.0"},
        "visual": {"versions": {"opensmile": "2.6.0"}},
    }
    write_features(
        tmp_path / "features.h5", replace(whole, provenance={"encoders": encoders, "sources": sources})
    )
    assert main(["inspect", str(tmp_path / "features.h5")]) == 0
    printed = capsys.readouterr().out
    assert printed.count("CAUTION") == 1
    assert "CAUTION       trained on labels of IEMOCAP, the test split's among them" in printed
    assert {line.split(maxsplit=1)[1] for line in printed.splitlines() if "licence  " in line} == {
        "mit",
        "cc-by-nc-sa-4.0: no commercial use",
        "audEERING's research licence: no commercial use",
    }


def test_inspect_names_the_columns_that_never_change(tmp_path: Path, capsys) -> None:
    whole = small_features.meld()
    audio = whole.modalities["audio"]
    values = audio.features.copy()
    values[audio.observed, 7] = 1.5
    names = np.array([f"F0_{n}" for n in range(values.shape[1])], dtype=object)
    changed = {"audio": replace(audio, features=values, feature_name=names)}
    write_features(tmp_path / "features.h5", replace(whole, modalities=whole.modalities | changed))
    assert main(["inspect", str(tmp_path / "features.h5"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["modalities"]["audio"]
    assert (found["constant_columns"], found["constant_names"]) == ([7], ["F0_7"])
    observed = values[audio.observed]
    assert found["minimum"] == pytest.approx(float(observed.min()))
    assert found["maximum"] == pytest.approx(float(observed.max()))


def test_inspect_reads_no_features(path: Path, capsys) -> None:
    cut_seal(path)
    content = bytearray(path.read_bytes())
    with h5py.File(path) as file:  # nothing that inspect says depends on them
        for name in ("text", "audio", "visual"):
            chunk = file[f"{name}/features"].id.get_chunk_info(0)
            content[chunk.byte_offset + 9] ^= 1
    path.write_bytes(content)
    assert main(["inspect", str(path)]) == 0
    assert "audio: 30 dimensions" in capsys.readouterr().out
    assert "visual/features is damaged" in failures(path, capsys)


def test_inspect_starts_without_torch(path: Path) -> None:
    script = (
        f"import sys; from pipeline.console.__main__ import main; main(['inspect', {str(path)!r}]);"
        "print('torch' in sys.modules)"
    )
    python = [sys.executable, "-c", script]
    done = subprocess.run(python, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_verify_passes_a_sound_file_check_by_check(path: Path, capsys) -> None:
    assert main(["verify", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"{path} is sound"
    assert all(line.startswith("ok") for line in lines[:-1])
    assert len(lines) == 7 + 2 * 3 + 1 + 1


def failures(path: Path, capsys) -> str:
    """What verify finds wrong with a file."""
    assert main(["verify", str(path)]) == 1
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1].startswith(f"{path} is NOT sound")
    return printed[printed.index("FAILED") :]


def reseal(path: Path) -> None:
    """Write the digest that belongs to a changed content, as someone would who edits a file on purpose."""
    arrays = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, node: arrays.update({name: 0}) if isinstance(node, h5py.Dataset) else None
        )
    arrays, attrs = read_h5(path, list(arrays))
    with h5py.File(path, "a") as file:
        file.attrs[CONTENT_SHA256] = content_digest(arrays, attrs)


@pytest.mark.parametrize("where", [0.3, 0.5, 0.7, 0.9])
def test_verify_finds_a_flipped_byte_of_features(path: Path, where: float, capsys) -> None:
    """In a file of other software, by HDF5's own checksums; in ours by its seal."""
    with h5py.File(path) as file:
        chunk = file["audio/features"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + int(where * chunk.size)] ^= 1
    path.write_bytes(content)
    assert "are damaged: not what was written" in failures(path, capsys)
    cut_seal(path)
    assert "audio/features is damaged" in failures(path, capsys)


def test_verify_finds_any_changed_byte_that_changes_the_content(path: Path, capsys) -> None:
    sound, before = path.read_bytes(), read_h5(path)
    random = np.random.default_rng(0)
    for place in random.choice(len(sound), 60, replace=False):
        content = bytearray(sound)
        content[place] ^= 0xFF
        path.write_bytes(content)
        status = main(["verify", str(path)])
        capsys.readouterr()
        if status == 0:  # a byte between the objects of the file: what it says is as before
            arrays, attrs = read_h5(path)
            assert attrs == before[1]
            for name, array in before[0].items():
                np.testing.assert_array_equal(arrays[name], array)


def test_verify_names_the_rows_that_were_swapped(path: Path, capsys) -> None:
    with h5py.File(path, "a") as file:
        rows = file["text/features"][:]
        rows[[0, 5]] = rows[[5, 0]]
        file["text/features"][:] = rows
    assert "the content has the digest" in failures(path, capsys)
    reseal(path)
    found = failures(path, capsys)
    assert "rows that are not what was written: train_dia0_utt0, train_dia61_utt0" in found
    assert found.count("FAILED") == 1


def test_verify_finds_features_that_are_not_numbers(path: Path, capsys) -> None:
    with h5py.File(path, "a") as file:
        file["visual/features"][2, 3] = np.nan
    reseal(path)
    found = failures(path, capsys)
    assert "features are not all finite" in found
    assert "minimum is not that of the features" in found


def test_verify_finds_a_label_out_of_range(path: Path, capsys) -> None:
    with h5py.File(path, "a") as file:
        file["utterances/label"][4] = 7
    reseal(path)
    assert "labels outside the label names" in failures(path, capsys)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda file: file.attrs.__setitem__("schema", 1), "it is of an older schema, 1"),
        (lambda file: file.attrs.__setitem__("schema", 9), "it is of a newer schema, 9"),
        (lambda file: file.attrs.__delitem__("schema"), "it is not a feature file"),
        (lambda file: file.attrs.__setitem__("labels", "joy"), "labels is not JSON"),
        (lambda file: file.attrs.__delitem__("provenance"), "provenance is missing"),
        (lambda file: file.__delitem__("audio/digest"), "audio/digest is missing"),
        (lambda file: file.__setitem__("notes", [1, 2]), "notes"),
        (lambda file: file.__setitem__("audio/notes", [1, 2]), "audio/notes is not part of the format"),
    ],
)
def test_verify_names_what_is_missing_or_foreign(path: Path, spoil, problem: str, capsys) -> None:
    with h5py.File(path, "a") as file:
        spoil(file)
    assert problem in failures(path, capsys)


def test_verify_tells_other_files_apart(tmp_path: Path, capsys) -> None:
    other = tmp_path / "features.h5"
    other.write_text("id,label\n")
    assert "is an HDF5 file" in failures(other, capsys)
    assert main(["verify", str(tmp_path / "none.h5")]) == 1
    assert capsys.readouterr().err.startswith(f"multiemo: error: {tmp_path / 'none.h5'}: no such file")


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_folder_is_no_feature_file(command: str, tmp_path: Path, capsys) -> None:
    assert main([command, str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"multiemo: error: {tmp_path}: is a folder; name a features.h5\n"


def test_inspect_refuses_another_kind_of_file_in_one_line(tmp_path: Path, capsys) -> None:
    (tmp_path / "params.yaml").write_text("corpora: {}\n" * 100)
    assert main(["inspect", str(tmp_path / "params.yaml")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "not a readable feature file" in said
    assert "if it should be one, delete it" in said
