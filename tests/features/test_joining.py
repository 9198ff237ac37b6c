"""Features of single modalities taken from another feature file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.features.content import Features
from pipeline.features.file import read_features, write_features
from pipeline.features.joining import join_features
from pipeline.features.pseudonymisation import pseudonymise, without_text
from pipeline.features.rules import find_problems
from tests.small_features import UNOBSERVED, meld

COLUMNS = ("id", "split", "dialogue", "position", "speaker", "label", "text", "start_s", "end_s")


def written(path: Path, features: Features) -> Features:
    """The features as they come out of a file."""
    write_features(path, features)
    return read_features(path)


def select(features: Features, rows: np.ndarray) -> Features:
    """The rows of a file, in that order."""
    return replace(
        features,
        **{name: getattr(features, name)[rows] for name in COLUMNS},
        modalities={name: modality.take(rows) for name, modality in features.modalities.items()},
    )


def without(features: Features, modality: str) -> Features:
    kept = {name: values for name, values in features.modalities.items() if name != modality}
    return replace(features, modalities=kept)


def other_features() -> Features:
    """Other labels and other vectors for the utterances of the small MELD, by other encoders."""
    whole = meld()
    changed = {
        name: replace(modality, features=modality.features * 2) for name, modality in whole.modalities.items()
    }
    encoders = {name: f"another {name} encoder" for name in whole.modalities}
    sources = {name: {"settings": {"size": name}} for name in whole.modalities}
    return replace(
        whole,
        corpus="elsewhere",
        label=np.zeros(len(whole), np.int64),
        modalities=changed,
        provenance={"encoders": encoders, "sources": sources},
    )


def join(base: Features, other: Features, *take: str) -> Features:
    return join_features(base, other, take, Path("base.h5"), Path("other.h5"))


def test_rows_are_taken_by_utterance_id_wherever_they_stand_in_the_other_file() -> None:
    other = other_features()
    starts = np.flatnonzero(other.position == 0)
    dialogues_backwards = np.concatenate(np.split(np.arange(len(other)), starts[1:])[::-1])
    joined = join(meld(), select(other, dialogues_backwards), "visual").modalities["visual"]
    expected = other.modalities["visual"]
    np.testing.assert_array_equal(joined.features, expected.features)
    assert joined.reason.tolist() == expected.reason.tolist()
    assert np.flatnonzero(~joined.observed).tolist() == [UNOBSERVED]


def test_the_other_file_may_hold_more_utterances() -> None:
    base = select(meld(), np.flatnonzero(meld().split == "dev"))
    joined = join(base, other_features(), "audio")
    assert joined.id.tolist() == ["dev_dia0_utt0", "dev_dia0_utt1"]
    expected = other_features().modalities["audio"].features[meld().split == "dev"]
    np.testing.assert_array_equal(joined.modalities["audio"].features, expected)


def test_what_is_not_taken_stays_as_it_is() -> None:
    base = meld()
    joined = join(base, other_features(), "visual")
    assert (joined.corpus, joined.label_names) == (base.corpus, base.label_names)
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(joined, name), getattr(base, name))
    for name in ("text", "audio"):
        assert joined.modalities[name] is base.modalities[name]
        assert joined.provenance["encoders"][name] == base.provenance["encoders"][name]
        assert joined.provenance["sources"][name] == base.provenance["sources"][name]


def test_several_modalities_may_be_taken_and_one_that_was_not_there_is_added() -> None:
    other = other_features()
    joined = join(without(meld(), "audio"), other, "audio", "text")
    assert sorted(joined.modalities) == ["audio", "text", "visual"]
    for name in ("audio", "text"):
        np.testing.assert_array_equal(joined.modalities[name].features, other.modalities[name].features)


def test_the_provenance_tells_the_encoder_its_settings_and_where_features_were_taken(tmp_path: Path) -> None:
    base = written(tmp_path / "base.h5", meld())
    other = written(tmp_path / "other.h5", other_features())
    joined = join(base, other, "visual")
    assert joined.provenance["encoders"]["visual"] == "another visual encoder"
    source = joined.provenance["sources"]["visual"]
    assert source["settings"] == {"size": "visual"}
    assert source["taken_from"] == {"corpus": "elsewhere", "content_sha256": other.digest}
    assert "taken_from" not in base.provenance["sources"]["visual"]


def test_a_file_made_elsewhere_need_not_say_how_it_was_made() -> None:
    joined = join(meld(), replace(other_features(), provenance={}), "visual")
    assert joined.provenance["encoders"]["visual"] == "an unknown encoder"
    assert joined.provenance["sources"]["visual"]["versions"] == {}


def test_joined_features_are_a_sound_feature_file(tmp_path: Path) -> None:
    base = written(tmp_path / "base.h5", meld())
    starts = np.flatnonzero(meld().position == 0)
    backwards = np.concatenate(np.split(np.arange(len(meld())), starts[1:])[::-1])
    other = written(tmp_path / "other.h5", select(other_features(), backwards))
    joined = written(tmp_path / "joined.h5", join(base, other, "visual", "audio"))
    assert find_problems(joined) == []
    assert joined.digest not in (base.digest, other.digest, "")


def test_a_file_without_the_modality_is_refused() -> None:
    message = r"other\.h5: holds no visual features \(it holds: text, audio\)"
    with pytest.raises(UserError, match=message):
        join(meld(), without(other_features(), "visual"), "visual")


def test_utterances_that_the_other_file_lacks_are_named() -> None:
    other = other_features()
    message = (
        r"other\.h5: holds 9 of the 14 utterances of base\.h5; it lacks"
        r" dev_dia0_utt0, dev_dia0_utt1, test_dia0_utt0 and 2 more \(it has train_dia0_utt0\)"
    )
    with pytest.raises(UserError, match=message):
        join(meld(), select(other, np.flatnonzero(other.split == "train")), "visual")


def test_equal_ids_of_another_corpus_are_refused() -> None:
    other = replace(other_features(), text=np.full(len(meld()), "x", dtype=object))
    message = (
        r"other\.h5: of another corpus \(elsewhere\): its utterance train_dia0_utt0 is 'x',"
        r" in base\.h5 it is 'Line 0"
    )
    with pytest.raises(UserError, match=message):
        join(meld(), other, "visual")


def test_files_that_were_pseudonymised_apart_are_not_joined() -> None:
    first, second = (pseudonymise(meld(), Random(seed))[0] for seed in (0, 1))
    assert join(first, first, "visual").modalities.keys() == first.modalities.keys()
    with pytest.raises(UserError, match="have other codes in place of names"):
        join(first, second, "visual")


def test_a_file_without_words_is_joined_by_speaker_and_place() -> None:
    wordless = without_text(other_features())
    assert join(meld(), wordless, "visual").text[0] == meld().text[0]
    stranger = replace(wordless, speaker=wordless.speaker[::-1])
    with pytest.raises(UserError, match=r"other\.h5: of another corpus \(elsewhere\): .* is speaker"):
        join(meld(), stranger, "visual")


def test_a_file_that_has_an_utterance_in_another_split_is_refused() -> None:
    base = meld()
    moved = replace(other_features(), split=np.where(base.split == "test", "train", base.split))
    count = int((base.split == "test").sum())
    with pytest.raises(UserError, match=rf"other\.h5: has {count} utterances in other splits than base\.h5"):
        join(base, moved, "visual")


@pytest.mark.parametrize("column", ["speaker", "position"])
def test_corpora_in_which_nobody_says_a_word_are_told_apart_by_speaker_and_place(column: str) -> None:
    silent = replace(meld(), text=np.full(len(meld()), "", object))
    assert join(silent, silent, "audio").modalities.keys() == meld().modalities.keys()
    values = getattr(silent, column)
    another = replace(silent, **{column: np.roll(values, 1)})
    with pytest.raises(UserError, match=rf"other\.h5: of another corpus .* is {column} "):
        join(silent, another, "audio")
