"""Splits: people apart, always the same, and what makes them say little."""

from __future__ import annotations

import pytest

from pipeline.errors import UserError
from pipeline.transcripts.splits import Turn, describe_splits, doubt_splits, split_dialogues


def talks(count: int, length: int = 10, guest: str = "") -> list[Turn]:
    """Dialogues of two people each, every one of whom is in two dialogues."""
    turns = []
    for number in range(count):
        people = [f"A{number // 2}", f"B{number // 2}", *([guest] if guest else [])]
        turns += [
            Turn(f"visit{number:02}", people[place % len(people)], ("joy", "anger")[place % 2])
            for place in range(length)
        ]
    return turns


def by_speaker(turns: list[Turn], splits: dict[str, str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for turn in turns:
        found.setdefault(turn.speaker, set()).add(splits[turn.dialogue])
    return found


def test_nobody_is_in_two_splits_and_all_are_filled_in_their_shares() -> None:
    turns = talks(40)
    splits = split_dialogues(turns, "speaker", {})
    assert all(len(found) == 1 for found in by_speaker(turns, splits).values())
    sizes = {split: list(splits.values()).count(split) for split in ("train", "dev", "test")}
    assert sizes == {"train": 28, "dev": 6, "test": 6}
    assert splits == split_dialogues(list(reversed(turns)), "speaker", {})


@pytest.mark.parametrize("way", ["speaker", "dialogue"])
def test_groups_of_unequal_size_fill_the_splits_in_their_shares(way: str) -> None:
    lengths = (75, 24, 75, 234, 777, 36, 50, 19, 54, 32)
    turns = [Turn(f"visit{n}", f"S{n}", "joy") for n, length in enumerate(lengths) for _ in range(length)]
    splits = split_dialogues(turns, way, {})
    sizes = {
        split: sum(splits[turn.dialogue] == split for turn in turns) for split in ("train", "dev", "test")
    }
    assert sizes["train"] == pytest.approx(0.7 * len(turns), rel=0.2)
    assert min(sizes["dev"], sizes["test"]) > 0.1 * len(turns)
    assert splits == split_dialogues(list(reversed(turns)), way, {})


def test_a_train_split_that_holds_too_little_is_doubted() -> None:
    turns = [Turn(name, name, "joy") for name in ("a", "b", "b", "c", "d") for _ in range(20)]
    splits = {"a": "train", "b": "test", "c": "dev", "d": "dev"}
    assert [*doubt_splits(turns, splits)] == [
        "train has 20 % of the utterances, which are all that a network learns from"
    ]


def test_three_groups_fill_three_splits() -> None:
    assert set(split_dialogues(talks(6), "speaker", {}).values()) == {"train", "dev", "test"}
    assert set(split_dialogues(talks(3), "dialogue", {}).values()) == {"train", "dev", "test"}
    assert set(split_dialogues(talks(1), "test", {}).values()) == {"test"}


@pytest.mark.parametrize("way", ["speaker", "dialogue", "test"])
def test_a_recording_that_is_added_moves_no_other(way: str) -> None:
    before = split_dialogues(talks(20), way, {})
    after = split_dialogues(talks(27), way, before)
    assert after.items() >= before.items()
    assert len(after) == 27
    if way == "speaker":
        assert all(len(found) == 1 for found in by_speaker(talks(27), after).values())


def test_who_joins_all_dialogues_into_one_is_named_and_may_be_left_out() -> None:
    turns = talks(12, guest="THERAPIST")
    with pytest.raises(UserError, match=r"join the dialogues into 1 groups.*'THERAPIST' is in 12 dialogues"):
        split_dialogues(turns, "speaker", {})
    splits = split_dialogues(turns, "speaker", {}, ["THERAPIST"])
    assert {name for name, found in by_speaker(turns, splits).items() if len(found) > 1} == {"THERAPIST"}
    assert any(
        "1 speakers are in train and in test (THERAPIST)" in line for line in doubt_splits(turns, splits)
    )


def test_sizes_and_doubts_are_said() -> None:
    turns = [Turn("a", "Ann", "joy"), Turn("b", "Bob", "fear"), Turn("c", "Cem", "")]
    splits = {"a": "train", "b": "dev", "c": "test"}
    assert list(describe_splits(turns, splits)) == [
        "train: 1 dialogues, 1 speakers, 1 utterances (joy 1)",
        "dev: 1 dialogues, 1 speakers, 1 utterances (fear 1)",
        "test: 1 dialogues, 1 speakers, 1 utterances (no labels)",
    ]
    assert list(doubt_splits(turns, splits)) == [
        "class 'fear' is missing in train: no network can learn it",
        "class 'fear' has 1 in dev, 0 in test: its score will say little",
        "class 'joy' has 0 in dev, 0 in test: its score will say little",
        "train has 33 % of the utterances, which are all that a network learns from",
        "dev has 1 dialogues and 33 % of the utterances, and the epoch is chosen there",
    ]
