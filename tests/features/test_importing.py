"""Features that other programs wrote, imported and joined."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from pipeline.console.__main__ import main
from pipeline.errors import UserError
from pipeline.features.file import read_features, write_features
from pipeline.features.importing import read_vectors
from pipeline.features.joining import join_features
from tests import small_features

LIKE = small_features.meld()
IDS = [str(utterance) for utterance in LIKE.id]
VECTORS = np.random.default_rng(0).normal(size=(len(IDS), 5)).astype(np.float32)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a corpus's features.h5, in which the command runs."""
    monkeypatch.chdir(tmp_path)
    write_features(tmp_path / "features.h5", LIKE)
    return tmp_path


def run(source: str, output: str = "imported.h5", encoder: str = "emotion2vec/emotion2vec_plus_large") -> int:
    command = ["import-features", source, "--utterances", "features.h5", "--modality", "audio"]
    return main([*command, "--encoder", encoder, "-o", output])


def write_folder(folder: Path, skip: int = 0) -> None:
    folder.mkdir()
    for utterance, vector in list(zip(IDS, VECTORS, strict=True))[skip:]:
        np.save(folder / f"{utterance}.npy", vector)


def test_a_folder_joins_as_a_modality_with_a_provenance_of_its_own(project: Path, capsys) -> None:
    write_folder(project / "e2v", skip=1)
    np.save(project / "e2v" / "another.npy", VECTORS[0])
    assert run("e2v") == 0
    printed = capsys.readouterr().out
    assert f"imported.h5: audio of {len(IDS) - 1} of {len(IDS)} utterances, 5 features by emotion2" in printed
    assert "1 are no utterances of meld, such as another" in printed
    assert "{features: features.h5, other: imported.h5, take: [audio]}" in printed

    imported = read_features(project / "imported.h5")
    joined = join_features(LIKE, imported, ["audio"], Path("features.h5"), Path("imported.h5"))
    np.testing.assert_array_equal(joined.modalities["audio"].features[1:], VECTORS[1:])
    assert joined.modalities["audio"].reason.tolist() == ["not among the imported", *[""] * (len(IDS) - 1)]
    assert set(joined.modalities) == {"text", "audio", "visual"}
    source = joined.provenance["sources"]["audio"]
    assert source["encoder"] == joined.provenance["encoders"]["audio"] == "emotion2vec/emotion2vec_plus_large"
    assert source["imported"]["name"] == "e2v"
    assert len(source["imported"]["sha256"]) == 64
    assert main(["verify", "imported.h5"]) == main(["inspect", "imported.h5"]) == 0
    assert "CAUTION       trained on labels of IEMOCAP and MELD" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_of_series_no_more_than_one_is_held(project: Path, kind: str) -> None:
    series = {utterance: np.ones((1000, 100), np.float32) for utterance in IDS}
    source = project / ("series" if kind == "folder" else "series.npz")
    if kind == "folder":
        source.mkdir()
        for utterance in series:
            np.save(source / f"{utterance}.npy", series[utterance])
    else:
        np.savez(source, **series)
    one, number = series[IDS[0]].nbytes, len(series)
    del series
    tracemalloc.start()
    assert read_vectors(source).averaged == number > 12
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * one  # it, in double precision, and what reads it


def test_tables_hold_the_same_and_series_are_averaged(project: Path, capsys) -> None:
    write_folder(project / "single")
    (project / "series").mkdir()
    for utterance, vector in zip(IDS, VECTORS.astype(np.float64), strict=True):
        np.save(project / "series" / f"{utterance}.npy", np.stack([vector - 1, vector, vector + 1]))
    np.savez(project / "by_name.npz", **dict(zip(IDS, VECTORS, strict=True)))
    np.savez(project / "table.npz", id=np.array(IDS), features=VECTORS)
    lines = [
        ",".join([utterance, *map(repr, vector.tolist())])
        for utterance, vector in zip(IDS, VECTORS, strict=True)
    ]
    (project / "table.csv").write_text("\n".join(["utterance,AU01,AU02,AU04,AU05,AU06", *lines]))
    for source in ("single", "series", "by_name.npz", "table.npz", "table.csv"):
        assert run(source) == 0
        audio = read_features(project / "imported.h5").modalities["audio"]
        np.testing.assert_allclose(audio.features, VECTORS, atol=1e-6)
        names = None if audio.feature_name is None else audio.feature_name.tolist()
        assert names == (["AU01", "AU02", "AU04", "AU05", "AU06"] if source == "table.csv" else None)
        assert ("were series" in capsys.readouterr().out) == (source == "series")


def test_values_that_are_no_numbers_are_no_observation(project: Path) -> None:
    broken = VECTORS.copy()
    broken[2, 1] = np.nan
    np.savez(project / "table.npz", id=np.array(IDS), features=broken)
    assert run("table.npz") == 0
    audio = read_features(project / "imported.h5").modalities["audio"]
    assert np.flatnonzero(~audio.observed).tolist() == [2]
    assert audio.reason[2] == "imported values are no finite numbers"
    assert not audio.features[2].any()


@pytest.mark.filterwarnings("error")
def test_values_too_large_for_float32_are_no_observation_either(project: Path) -> None:
    large = VECTORS.astype(np.float64)
    large[2, 1] = 1e300
    np.savez(project / "table.npz", id=np.array(IDS), features=large)
    assert run("table.npz") == 0
    audio = read_features(project / "imported.h5").modalities["audio"]
    assert np.flatnonzero(~audio.observed).tolist() == [2]


def test_blank_rows_of_a_table_are_skipped(project: Path) -> None:
    lines = [f"{utterance},{vector[0]!r}" for utterance, vector in zip(IDS, VECTORS.tolist(), strict=True)]
    (project / "table.csv").write_text(
        "\n".join(["utterance,AU01", lines[0], "", ",", *lines[1:], "", " , ", ""])
    )
    assert run("table.csv") == 0
    audio = read_features(project / "imported.h5").modalities["audio"]
    assert audio.observed.all()
    np.testing.assert_allclose(audio.features[:, 0], VECTORS[:, 0])


def complaint(source: str, capsys) -> str:
    assert run(source) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert not Path("imported.h5").exists()
    return said


def test_what_cannot_be_imported_is_one_line_that_names_it(project: Path, capsys) -> None:
    Path("empty").mkdir()
    assert "empty: holds no features; a folder should have a file <utterance>.npy" in complaint(
        "empty", capsys
    )
    assert "absent: is neither a folder of" in complaint("absent", capsys)
    Path("odd").mkdir()
    np.save("odd/dia0.npy", VECTORS[0])
    assert "odd: none of its 1 names is an utterance of meld; it has dia0, the corpus" in complaint(
        "odd", capsys
    )
    np.save(f"odd/{IDS[0]}.npy", VECTORS[0, :3])
    assert f"odd: vectors differ in length: 3 of {IDS[0]}, 5 of dia0" in complaint("odd", capsys)
    np.save(f"odd/{IDS[0]}.npy", np.array("text"))
    assert f"odd: {IDS[0]}: is one of <U4, and neither [D] nor [T, D]" in complaint("odd", capsys)
    Path("words.csv").write_text("utterance,AU01\nu1,much\n")
    assert "words.csv: line 2: could not convert string to float: 'much'" in complaint("words.csv", capsys)
    Path("headless.csv").write_text(f"{IDS[0]},0.1\n{IDS[1]},0.2\n")
    assert f"headless.csv: its first line is of utterance {IDS[0]}: give it a header" in complaint(
        "headless.csv", capsys
    )
    Path("excel.csv").write_text("utterance;AU01\nu1;0,5\n")
    assert "excel.csv: separates its cells by ';'; save it with commas" in complaint("excel.csv", capsys)
    write_folder(Path("whole"))
    assert run("whole", output="features.h5") == 1
    assert "-o features.h5: is the file of --utterances, which would be lost" in capsys.readouterr().err
    assert set(read_features(Path("features.h5")).modalities) == {"text", "audio", "visual"}
    Path("twice.csv").write_text("utterance,AU01\nu1,1\nu1,2\n")
    assert "twice.csv: u1 is there more than once" in complaint("twice.csv", capsys)


@pytest.mark.parametrize("source", ["pickles", "pickled.npz", "cut.npz"])
def test_nothing_is_unpickled_and_nothing_damaged_is_read(project: Path, capsys, source: str) -> None:
    pickled = np.array([{"code": "runs"}], object)
    Path("pickles").mkdir()
    np.save(f"pickles/{IDS[0]}.npy", pickled, allow_pickle=True)
    np.savez("pickled.npz", allow_pickle=True, **{IDS[0]: pickled})
    np.savez("cut.npz", **{IDS[0]: VECTORS[0]})
    Path("cut.npz").write_bytes(Path("cut.npz").read_bytes()[:100])
    assert "cannot be read" in complaint(source, capsys)


def test_an_archive_with_any_damaged_byte_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "whole.npz", **{IDS[0]: VECTORS[0]})
    whole = (tmp_path / "whole.npz").read_bytes()
    damaged, refused = tmp_path / "damaged.npz", 0
    for place in range(len(whole)):
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            read_vectors(damaged)
        except UserError:
            refused += 1
    assert refused > len(whole) / 4


def test_a_damaged_header_of_a_single_array_is_refused(project: Path, capsys) -> None:
    write_folder(project / "folder")
    file = project / f"folder/{IDS[0]}.npy"
    file.write_bytes(file.read_bytes().replace(b"}", b"("))
    assert "cannot be read" in complaint("folder", capsys)
