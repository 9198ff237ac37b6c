from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.store.h5 import Arrays, write_h5
from pipeline.work.stagefile import (
    ExtractionStage,
    no_vectors,
    nothing_observed,
    read_stage_file,
    run_extraction,
)

NO_FACES = {
    "frames_sampled": np.empty(0, np.int32),
    "box_px": np.empty((0, 4), np.float32),
    "reason": np.empty(0, str),
}


def lengths(rows: list[str]) -> Arrays:
    return {
        "features": np.array([[len(row)] for row in rows], np.float32),
        "reason": np.array(["" if row else "empty" for row in rows]),
    }


def die_at_empty(rows: list[str]) -> Arrays:
    if "" in rows:
        os.kill(os.getpid(), signal.SIGKILL)
    return lengths(rows)


def stage(**changes) -> ExtractionStage[str]:
    options = {
        "name": "features",
        "modality": "text",
        "function": lengths,
        "inputs": lambda dialogue, rows: list(rows),
        "settings": {"unit": "letters"},
        "libraries": ("numpy",),
        "empty": no_vectors(1),
        "about": {"encoder": "len"},
        "workers": 1,
    }
    return ExtractionStage(**(options | changes))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MULTIEMO_STORE", raising=False)


def test_a_stage_file_holds_all_dialogues_in_order_and_says_how_it_was_made() -> None:
    ids = ["d1_0", "d1_1", "d0_0"]
    run_extraction("c", stage(), {"d1": ["abc", ""], "d0": ["a"]}, ids, limit=0.5)
    arrays, provenance = read_stage_file(Path("data/c/features.h5"), ids)
    assert arrays["features"].tolist() == [[3], [0], [1]]
    assert arrays["reason"].tolist() == ["", "empty", ""]
    assert arrays["dialogue"].tolist() == ["d1", "d0"]
    assert len(set(arrays["item_key"].tolist())) == 2
    assert provenance["encoder"] == "len"
    assert provenance["settings"] == {"unit": "letters"}
    assert set(provenance["versions"]) == {"numpy"}


def test_a_file_of_other_utterances_is_refused() -> None:
    run_extraction("c", stage(), {"d": ["abc"]}, ["d_0"], limit=0)
    with pytest.raises(UserError, match="holds other utterances than the manifest"):
        read_stage_file(Path("data/c/features.h5"), ["d_1"])


def test_a_file_that_no_stage_wrote_is_refused() -> None:
    write_h5(Path("data/c/features.h5"), {"features": np.zeros(3)}, {})
    with pytest.raises(UserError, match=r"features\.h5: cannot be read .* run dvc repro, which makes it"):
        read_stage_file(Path("data/c/features.h5"), ["d_1"])


def test_too_much_unobserved_leaves_no_file_behind() -> None:
    with pytest.raises(UserError, match=r"1 of 2 utterances lack text .* max_unobserved\.text: 0\.1"):
        run_extraction("c", stage(), {"d": ["abc", ""]}, ["d_0", "d_1"], limit=0.1)
    assert not Path("data/c/features.h5").exists()


def test_a_dialogue_whose_worker_dies_twice_leaves_no_file_behind() -> None:
    with pytest.raises(
        UserError, match=r"died twice at d1 \(killed by SIGKILL\); all other dialogues are kept"
    ):
        run_extraction(
            "c", stage(function=die_at_empty), {"d1": ["abc", ""], "d0": ["a"]}, ["a", "b", "c"], limit=1
        )
    assert list(Path("data").rglob("*.h5")) == []


def test_an_accepted_failure_has_its_reason_and_a_key_that_its_dialogue_never_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    ids, dialogues = ["d1_0", "d1_1", "d0_0"], {"d1": ["abc", ""], "d0": ["a"]}
    monkeypatch.setenv("MULTIEMO_ACCEPT_FAILURES", "1")
    run_extraction("c", stage(function=die_at_empty), dialogues, ids, limit=1)
    arrays, _ = read_stage_file(Path("data/c/features.h5"), ids)
    assert arrays["features"].tolist() == [[0], [0], [1]]
    assert arrays["reason"].tolist() == ["worker died twice: killed by SIGKILL"] * 2 + [""]
    advice = "features: 1 of 2 dialogues are stand-ins; dvc repro --force --single-item features@c tries them"
    assert advice in capsys.readouterr().out
    run_extraction("c", stage(), dialogues, ids, limit=1)
    assert "stand-ins" not in capsys.readouterr().out
    again, _ = read_stage_file(Path("data/c/features.h5"), ids)
    assert again["features"].tolist() == [[3], [0], [1]]
    assert arrays["item_key"][1] == again["item_key"][1]
    assert arrays["item_key"][0] == f"{again['item_key'][0]} worker died twice: killed by SIGKILL"


@pytest.mark.parametrize(
    ("empty", "per_utterance"), [(no_vectors(7), ("features",)), (NO_FACES, ("frames_sampled",))]
)
def test_a_dialogue_that_could_not_be_computed_has_a_reason_for_each_utterance(
    empty: Arrays, per_utterance: tuple[str, ...]
) -> None:
    arrays = nothing_observed(
        ["a", "b"], "worker died twice", stage(empty=empty, per_utterance=per_utterance)
    )
    assert arrays.keys() == empty.keys()
    assert arrays["reason"].tolist() == ["worker died twice"] * 2
    for name, array in arrays.items():
        assert array.shape[1:] == empty[name].shape[1:]
        assert len(array) == (2 if name in (*per_utterance, "reason") else 0)
        if name != "reason":
            assert array.dtype == empty[name].dtype
            assert not array.any()
