"""Where dialogues lie, and the numbers of those who speak in them."""

from __future__ import annotations

from pipeline.features.dialogues import find_dialogues, number_speakers
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
