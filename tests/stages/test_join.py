"""The stage join through params.yaml."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import stages.join
from pipeline.errors import UserError
from pipeline.features.file import read_features, write_features
from tests.small_features import meld

PARAMS = "joins: {both: {features: ours.h5, other: theirs.h5, take: [visual]}}"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two files of the same utterances: one with text and audio, one with visual features alone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS, encoding="utf-8")
    whole = meld()
    for name, kept in (("ours", ("text", "audio")), ("theirs", ("visual",))):
        modalities = {each: whole.modalities[each] for each in kept}
        encoders = {each: f"{name}' {each} encoder" for each in kept}
        features = replace(whole, modalities=modalities, provenance={"encoders": encoders})
        write_features(tmp_path / f"{name}.h5", features)
    return tmp_path


def test_the_joined_file_has_modalities_of_both(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stages.join.main("both")
    joined = read_features(project / "data/joined/both.h5")
    assert set(joined.modalities) == {"text", "audio", "visual"}
    assert joined.provenance["encoders"]["visual"] == "theirs' visual encoder"
    assert joined.provenance["encoders"]["text"] == "ours' text encoder"
    assert "ours.h5 with visual by theirs' visual encoder, from theirs.h5" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_named(project: Path) -> None:
    (project / "theirs.h5").unlink()
    with pytest.raises(UserError, match=r"theirs\.h5: no such feature file"):
        stages.join.main("both")
    assert not (project / "data").exists()
