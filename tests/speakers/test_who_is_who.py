from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.speakers.who_is_who import TrackMean, identify, recognise, track_means

PEOPLE = dict(zip("ABC", np.eye(8, dtype=np.float32), strict=False))


def seen(
    utterance: int, track: int, person: str, speaking: float = 0.0, frames: Sequence[int] = (0, 5)
) -> TrackMean:
    """A track of somebody, whose embedding is a little off."""
    noise = 0.1 * np.random.default_rng([utterance, track]).standard_normal(8).astype(np.float32)
    return TrackMean(utterance, track, frozenset(frames), PEOPLE[person] + noise, speaking)


def found(names: Sequence[str], tracks: Sequence[TrackMean]) -> dict[int, int]:
    """Utterance -> the track that its name goes with."""
    return {place: each.track for place, each in recognise(names, tracks).items()}


def test_the_face_that_is_there_whenever_a_name_speaks_is_the_names() -> None:
    tracks = [
        seen(0, 0, "A"),
        seen(0, 1, "B"),
        seen(1, 0, "B"),
        seen(1, 1, "C"),
        seen(2, 0, "C"),
        seen(3, 1, "C"),
    ]
    # Bob speaks where B is, in whichever company; Cay where C is.
    assert found(["Bob", "Bob", "Cay", "Cay"], tracks) == {0: 1, 1: 0, 2: 0, 3: 1}


def test_lips_in_one_utterance_tell_in_another_where_both_are_always_seen() -> None:
    tracks = [seen(place, track, person) for place in range(4) for track, person in enumerate("AB")]
    names = ["Ann", "Bob", "Ann", "Bob"]
    assert found(names, tracks) == {}
    tracks[0], tracks[3] = seen(0, 0, "A", speaking=0.5), seen(1, 1, "B", speaking=0.4)
    assert found(names, tracks) == {0: 0, 1: 1, 2: 0, 3: 1}


def test_nobody_is_named_where_the_speaker_is_not_seen_or_was_seen_but_once() -> None:
    tracks = [seen(0, 0, "A", 0.6), seen(1, 0, "B"), seen(2, 0, "B"), seen(3, 0, "A", 0.6)]
    assert found(["Ann", "Ann", "Bob", "Ann"], tracks) == {0: 0, 3: 0}
    assert found(["Ann", "", "", "Eve"], tracks) == {}
    assert found(["", "", "", ""], []) == {}


def test_two_faces_of_one_picture_are_two_people_however_alike() -> None:
    twins = np.stack([PEOPLE["A"], PEOPLE["A"]])
    together = ~np.eye(2, dtype=bool)
    assert identify(twins, together).tolist() == [0, 1]
    assert identify(twins, ~together & together).tolist() == [0, 0]


def test_two_who_look_alike_are_two_people_where_one_picture_of_many_shows_both() -> None:
    embeddings = np.stack([PEOPLE["A"]] * 10)
    together = np.zeros((10, 10), bool)
    together[0, 5] = together[5, 0] = True
    identity = identify(embeddings, together)
    assert identity.max() == 1
    assert identity[0] != identity[5]


def test_a_person_in_two_shots_of_an_utterance_counts_by_all_her_faces() -> None:
    tracks = [seen(0, 0, "A", frames=(0,)), seen(0, 1, "A", 0.5, (4, 5, 6)), seen(1, 0, "A"), seen(2, 0, "B")]
    person = recognise(["Ann", "Ann", "Bob"], tracks)[0]
    assert person.track == 1
    assert len(person.frames) == 4
    expected = (tracks[0].embedding + 3 * tracks[1].embedding) / 4
    np.testing.assert_allclose(person.embedding, expected, rtol=1e-5)


def test_the_order_in_which_files_were_read_changes_nothing() -> None:
    tracks = [
        seen(place, track, person, 0.3 * track) for place in range(3) for track, person in enumerate("AB")
    ]
    assert found(["Ann"] * 3, tracks) == found(["Ann"] * 3, tracks[::-1]) == {0: 1, 1: 1, 2: 1}


def test_a_tracks_mean_is_over_its_faces() -> None:
    track, frames = np.array([0, 1, 0]), np.array([0, 0, 5])
    embeddings = np.array([[1, 0], [5, 5], [3, 2]], np.float32)
    one, other = track_means(7, track, frames, np.array([0.2, 0.6, 0.2], np.float32), embeddings)
    assert (one.utterance, one.track, one.frames) == (7, 0, {0, 5})
    assert one.embedding.tolist() == [2, 1]
    assert other.speaking == pytest.approx(0.6)
