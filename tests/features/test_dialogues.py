"""Where dialogues lie, and the numbers of those who speak in them."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np

from pipeline.features.content import UTTERANCE_COLUMNS, Features
from pipeline.features.dialogues import arrange_dialogues, find_dialogues, number_speakers, training_digest
from pipeline.features.pseudonymisation import pseudonymise
from tests import small_features


def test_dialogues_are_in_the_files_order_with_all_their_rows() -> None:
    dialogues = find_dialogues(small_features.recordings())
    assert [(dialogue.name, dialogue.split) for dialogue in dialogues] == [
        ("visit1", "train"),
        ("visit2", "train"),
        ("visit3", "dev"),
        ("visit4", "test"),
    ]
    assert [row for dialogue in dialogues for row in dialogue.rows] == list(range(14))


def test_speakers_are_numbered_in_each_dialogue_by_first_appearance() -> None:
    features = small_features.meld()
    numbers = number_speakers(features)
    rows = find_dialogues(features)[2].rows
    assert features.speaker[rows].tolist() == ["Ross", "Rachel", "Ross", "Joey"]
    assert numbers[rows].tolist() == [0, 1, 0, 2]
    assert numbers[:5].tolist() == [0, 1, 0, 0, 1]


def words_in_order(features: Features) -> list[str]:
    return [features.text[row] for dialogue in arrange_dialogues(features) for row in dialogue.rows]


def turned(features: Features) -> Features:
    """The same dialogues, the last one first."""
    rows = np.array([row for dialogue in find_dialogues(features)[::-1] for row in dialogue.rows])
    return replace(
        features,
        **{name: getattr(features, name)[rows] for name in UTTERANCE_COLUMNS},
        modalities={name: each.take(rows) for name, each in features.modalities.items()},
    )


def test_the_order_by_content_hangs_on_neither_names_nor_the_files_order() -> None:
    features = small_features.iemocap()
    found = words_in_order(features)
    assert sorted(found) == sorted(features.text)
    assert found != features.text.tolist()
    assert words_in_order(turned(features)) == found
    assert words_in_order(pseudonymise(features, Random(3))[0]) == found


def twins() -> Features:
    """Two dialogues that are alike in all but their names and words."""
    rows = [("train", name, "Ann", "joy", f"{name}{place}") for name in "ab" for place in range(2)]
    features = small_features.build("twins", rows, ("joy", "fear"))
    alike = {
        name: replace(each, features=np.zeros_like(each.features), observed=np.ones(4, bool))
        for name, each in features.modalities.items()
    }
    return replace(features, modalities=alike)


def test_dialogues_are_told_apart_by_all_that_a_network_learns_from() -> None:
    features = twins()
    text = features.modalities["text"]
    assert words_in_order(turned(features)) != words_in_order(features)  # as they are in the file
    last = np.arange(4) == 3
    for change in (
        {"label": np.where(last, 1, features.label)},
        {"speaker": np.where(last, "Bob", features.speaker)},
        {"modalities": {"text": replace(text, observed=~last)}},
        {"modalities": {"text": replace(text, features=text.features + np.float32(last)[:, None])}},
    ):
        changed = replace(features, **change)
        assert words_in_order(turned(changed)) == words_in_order(changed)


def test_what_a_training_is_known_by_is_all_that_it_learns_from_and_nothing_else() -> None:
    features = twins()
    text = features.modalities["text"]
    last = np.arange(4) == 3
    known = training_digest(features)
    for change in (
        {"text": np.full(4, "other words", object)},
        {"start_s": np.arange(4.0), "end_s": np.arange(4.0) + 1},
        {"provenance": {"encoders": {"text": "another"}}, "corpus": "other", "digest": "other"},
    ):
        assert training_digest(replace(features, **change)) == known
    for same in (turned(features), pseudonymise(features, Random(3))[0]):
        assert training_digest(same) == known
    for change in (
        {"label": np.where(last, 1, features.label)},
        {"label_names": ("fear", "joy")},
        {"speaker": np.where(last, "Bob", features.speaker)},
        {"split": np.array(["train", "train", "dev", "dev"])},
        {"modalities": features.modalities | {"text": replace(text, observed=~last)}},
        {"modalities": features.modalities | {"text": replace(text, features=text.features + np.float32(1))}},
        {"modalities": {"text": text}},
    ):
        assert training_digest(replace(features, **change)) != known, change.keys()
