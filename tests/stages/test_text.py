from __future__ import annotations

from pathlib import Path
from shutil import copy

import numpy as np
import pytest

from pipeline.encoders.weights import ORIGIN
from pipeline.errors import UserError
from pipeline.manifest import Utterance, write_table
from pipeline.store.code import PROJECT
from pipeline.work.stagefile import read_stage_file
from stages import text
from tests.encoders.texts import dialogue, save_untrained


def test_a_stage_that_is_run_too_early_says_which_output_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copy(PROJECT / "params.yaml", tmp_path)
    with pytest.raises(UserError, match=r"utterances\.csv not found: run dvc repro, which makes it"):
        text.main("demo")
    write_table(tmp_path / "data/demo/utterances.csv", dialogue(("Hi.",)), Utterance)
    with pytest.raises(UserError, match=r"origin\.json not found: run dvc repro, which makes it"):
        text.main("demo")
    (tmp_path / "data/demo/text_encoder").mkdir()
    (tmp_path / "data/demo/text_encoder" / ORIGIN).write_text("{}")
    with pytest.raises(UserError, match=r"origin\.json: cannot be read \(KeyError.*run dvc repro, which"):
        text.main("demo")


def test_what_did_not_fit_is_printed_and_told_in_the_provenance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MULTIEMO_WORKERS", "1")
    monkeypatch.delenv("MULTIEMO_STORE", raising=False)
    copy(PROJECT / "params.yaml", tmp_path)
    data = tmp_path / "data" / "demo"
    save_untrained(data / "text_encoder")
    (data / "text_encoder" / ORIGIN).write_text('{"encoder": "small"}')
    rows = dialogue(("Hi.", "word " * 500, "", "Why?", *["Yes."] * 40))
    write_table(data / "utterances.csv", rows, Utterance)
    text.main("demo")
    assert "text: 1 windows with the utterance itself cut, 4 windows without all" in capsys.readouterr().out
    arrays, provenance = read_stage_file(data / "text.h5", [row.id for row in rows])
    assert provenance["encoder"] == "small"
    assert provenance["figures"] == {
        "windows with the utterance itself cut": 1,
        "windows without all of their context": 4,
    }
    assert arrays["features"].shape == (44, 32)
    assert np.flatnonzero(arrays["context_dropped"]).tolist() == [0, 1, 2, 3]
