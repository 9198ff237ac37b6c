"""``multiemo export --to features``: what a lab may share, its key, and what a model makes of it."""

from __future__ import annotations

import csv
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.console.__main__ import main
from pipeline.features.file import read_features, write_features
from tests import small_features


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    write_features(tmp_path / "features.h5", small_features.recordings())
    return tmp_path / "features.h5"


def export(stored: Path, *more: str) -> int:
    return main(["export", str(stored), "--to", "features", "-o", str(stored.parent / "shared"), *more])


def test_a_pseudonymised_file_is_sound_says_what_is_gone_and_its_key_is_private(stored: Path, capsys) -> None:
    key = stored.parent / "private/key.csv"
    assert export(stored, "--without-text", "--drop", "text", "--pseudonymise", str(key)) == 0
    said = capsys.readouterr().out
    assert "note: it is still personal data" in said
    shared = stored.parent / "shared/features.h5"
    assert [path.name for path in shared.parent.iterdir()] == ["features.h5"]
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    with key.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["kind"] for row in rows} == {"dialogue", "speaker", "utterance"}
    assert main(["verify", str(shared)]) == 0
    capsys.readouterr()
    assert main(["inspect", str(shared)]) == 0
    said = capsys.readouterr().out
    assert "taken out before it was shared: the modality text; what is said; names of speakers" in said
    assert "it is still personal data" in said
    found = read_features(shared)
    assert set(found.text.tolist()) == {""}
    assert found.digest != read_features(stored).digest


def test_a_key_never_lies_with_what_it_opens_nor_replaces_another(stored: Path, capsys) -> None:
    for path in ("shared/key.csv", "shared/deep/../key.csv"):
        assert export(stored, "--pseudonymise", str(stored.parent / path)) == 1
        assert "lies in" in capsys.readouterr().err
    (stored.parent / "key.csv").write_text("precious")
    assert export(stored, "--pseudonymise", str(stored.parent / "key.csv")) == 1
    assert "is there already" in capsys.readouterr().err
    assert (stored.parent / "key.csv").read_text() == "precious"
    assert not (stored.parent / "shared").exists()
    assert export(stored, "--drop", "smell") == 1
    assert "--drop smell: the file has audio, text, visual" in capsys.readouterr().err


def test_an_export_that_wrote_nothing_leaves_no_key_and_may_be_tried_again(stored: Path, capsys) -> None:
    key = stored.parent / "key.csv"
    command = ["export", str(stored), "--pseudonymise", str(key), "-o", str(stored.parent / "shared")]
    assert main([*command, "--to", "mmgcn", "--drop", "visual"]) == 1
    assert "the file has no visual" in capsys.readouterr().err
    assert not key.exists()
    assert main([*command, "--to", "features", "--drop", "visual"]) == 0
    assert key.exists()


def test_a_key_stays_where_an_export_ends_after_files_that_have_its_codes(
    stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(folder: Path, features: object) -> None:
        folder.mkdir()
        (folder / "half").write_text("codes")
        raise OSError("disk full")

    monkeypatch.setattr("pipeline.exports.features.write", write_half)
    assert export(stored, "--pseudonymise", str(stored.parent / "key.csv")) == 1
    assert (stored.parent / "key.csv").exists()


def test_unlabelled_utterances_and_times_are_kept(stored: Path) -> None:
    features = small_features.recordings()
    timed = replace(features, start_s=features.position * 2.0 + 7, end_s=features.position * 2.0 + 8)
    write_features(stored, timed)
    assert export(stored, "--pseudonymise", str(stored.parent / "key.csv")) == 0
    shared = read_features(stored.parent / "shared/features.h5")
    assert len(shared) == len(features)
    assert (shared.start_s == shared.position * 2.0).all()
    assert sorted(shared.label.tolist()) == sorted(features.label.tolist())
