"""The stages visual and features of a corpus whose visual features come from another feature file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

import stages.features
import stages.visual
from pipeline.errors import UserError
from pipeline.features.file import Features, read_features, write_features
from pipeline.manifest import Medium, Utterance, write_labels, write_table
from tests.small_features import UNOBSERVED, meld

SECTIONS = ("faces", "audio", "window", "text", "train")
Run = Callable[..., Features]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs both stages of corpus ``mine``, of MELD's small file, with the visual features of another."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MULTIEMO_DEVICE", "cpu")

    def run(other: Features, limit: float = 1.0, **visual: Any) -> Features:
        write_features(Path("other.h5"), other)
        taken = {"features_file": "other.h5", "features_sha256": read_features(Path("other.h5")).digest}
        entry: dict[str, Any] = {section: {} for section in SECTIONS} | {
            "format": "meld",
            "root": "raw",
            "modalities": ["visual"],
            "train": {"modalities": ["visual"]},
            "visual": {"weights": "untrained"} | taken | visual,
            "finetune": {"encoder": "untrained"},
            "max_unobserved": {"text": 1.0, "audio": 1.0, "visual": limit},
            "report": {"study": "mine"},
        }
        YAML().dump({"corpora": {"mine": entry}}, Path("params.yaml"))
        write_manifest(Path("data/mine"), meld())
        stages.visual.main("mine")
        stages.features.main("mine")
        return read_features(Path("data/mine/features.h5"))

    return run


def write_manifest(folder: Path, features: Features) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    columns = ("id", "split", "dialogue", "position", "speaker", "text")
    utterances = [
        Utterance(
            **{name: getattr(features, name)[row] for name in columns},
            label=features.label_names[features.label[row]],
        )
        for row in range(len(features))
    ]
    write_labels(folder / "labels.json", features.label_names)
    write_table(folder / "utterances.csv", utterances, Utterance)
    write_table(folder / "media.csv", [Medium(u.id, u.dialogue, "clip.mp4") for u in utterances], Medium)


def select(features: Features, rows: np.ndarray) -> Features:
    """The rows of a file, in that order."""
    columns = ("id", "split", "dialogue", "position", "speaker", "label", "text", "start_s", "end_s")
    return replace(
        features,
        **{name: getattr(features, name)[rows] for name in columns},
        modalities={
            name: replace(m, features=m.features[rows], observed=m.observed[rows], reason=m.reason[rows])
            for name, m in features.modalities.items()
        },
    )


def test_rows_are_taken_by_utterance_id_wherever_they_stand_in_the_other_file(run: Run) -> None:
    original = meld()
    starts = np.flatnonzero(original.position == 0)
    dialogues_backwards = np.concatenate(np.split(np.arange(len(original)), starts[1:])[::-1])
    found = run(select(original, dialogues_backwards)).modalities["visual"]
    expected = original.modalities["visual"]
    assert (found.features == expected.features).all()
    assert found.reason.tolist() == expected.reason.tolist()
    assert np.flatnonzero(~found.observed).tolist() == [UNOBSERVED]


def test_the_feature_file_tells_the_encoder_its_settings_and_where_they_were_taken(run: Run) -> None:
    given = meld()
    found = run(given)
    assert found.provenance["encoders"] == {"visual": given.provenance["encoders"]["visual"]}
    source = found.provenance["sources"]["visual"]
    assert source["settings"] == given.provenance["sources"]["visual"]["settings"]
    assert source["taken_from"] == {
        "corpus": "meld",
        "content_sha256": read_features(Path("other.h5")).digest,
    }


def test_the_stage_visual_then_extracts_nothing_and_says_so(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run(meld())
    printed = capsys.readouterr().out
    assert "visual: nothing to do, corpora.mine.visual.features_file names its result" in printed


def test_another_content_than_params_name_is_refused_with_its_digest(run: Run) -> None:
    with pytest.raises(UserError, match=r"other\.h5: its content digest is [0-9a-f]{64}, not that of corp"):
        run(meld(), features_sha256="0" * 64)


def test_a_file_that_is_not_there_is_named(run: Run) -> None:
    with pytest.raises(UserError, match=r"nowhere\.h5: no such feature file"):
        run(meld(), features_file="nowhere.h5")


def test_a_file_without_the_modality_is_refused(run: Run) -> None:
    other = meld()
    del other.modalities["visual"]
    with pytest.raises(UserError, match=r"holds no visual features \(it holds: audio, text\)"):
        run(other)


def test_utterances_that_the_other_file_lacks_are_named(run: Run) -> None:
    other = meld()
    kept = select(other, np.flatnonzero(other.split == "train"))
    message = r"holds 9 of the 14 utterances .* lacks dev_dia0_utt0, dev_dia0_utt1, test_dia0_utt0 and 2 more"
    with pytest.raises(UserError, match=message):
        run(kept)


def test_equal_ids_of_another_corpus_are_refused(run: Run) -> None:
    other = meld()
    with pytest.raises(UserError, match=r"of another corpus \(meld\): its utterance train_dia0_utt0 is 'x'"):
        run(replace(other, text=np.full(len(other), "x", dtype=object)))


def test_the_limit_of_unobserved_utterances_holds_for_what_is_taken(run: Run) -> None:
    with pytest.raises(UserError, match=r"1 of 14 utterances lack visual"):
        run(meld(), limit=0.05)


def test_a_features_file_without_its_digest_is_refused_by_the_params(run: Run) -> None:
    with pytest.raises(UserError, match="features_file and features_sha256 must stand together"):
        run(meld(), features_sha256=None)
