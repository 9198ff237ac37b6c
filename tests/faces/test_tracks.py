from __future__ import annotations

import numpy as np
import pytest

from pipeline.faces.tracks import link_faces, starts_of_shots

RED, GREEN, BLUE = (200, 40, 40), (40, 200, 40), (40, 40, 200)
Faces = list[list[tuple[tuple[int, int, int], float]]]


def film(
    faces: Faces, wall: tuple[int, int, int] = (120, 110, 100)
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Pictures, the picture of each face, and its box: squares of a colour at places across."""
    images, image, boxes = [], [], []
    for number, shown in enumerate(faces):
        picture = np.full((120, 320, 3), wall, np.uint8)
        for colour, x in shown:
            left = round(x)
            picture[40:80, left : left + 40] = colour
            image.append(number)
            boxes.append((left, 40, left + 40, 80))
        images.append(picture)
    return images, np.array(image, int), np.array(boxes, np.float32).reshape(-1, 4)


def link(faces: Faces) -> list[list[int]]:
    """The tracks in each picture."""
    images, image, boxes = film(faces)
    track = link_faces(images, image, boxes)
    return [track[image == number].tolist() for number in range(len(images))]


def test_faces_that_stay_keep_their_tracks_in_whatever_order_they_are_found() -> None:
    red, green = (RED, 20.0), (GREEN, 200.0)
    assert link([[red, green], [green, red], [red, green]]) == [[0, 1], [1, 0], [0, 1]]


def test_faces_that_cross_keep_their_tracks() -> None:
    faces: Faces = [[(RED, x), (GREEN, 200 - x)] for x in np.linspace(0, 200, 17)]
    faces[8] = faces[8][1:]  # the one behind is hidden
    tracks = link(faces)
    assert tracks.pop(8) == [1]
    assert tracks == [[0, 1]] * 16


def test_a_face_before_another_does_not_take_its_track() -> None:
    assert link([[(RED, 100)], [(GREEN, 102)], [(RED, 104)]]) == [[0], [1], [0]]


def test_a_face_that_leaves_ends_its_track_and_one_that_comes_begins_one() -> None:
    assert link([[(RED, 20), (GREEN, 200)], [(GREEN, 202)], [(GREEN, 204), (BLUE, 20)]]) == [
        [0, 1],
        [1],
        [1, 2],
    ]


@pytest.mark.parametrize(("missed", "again"), [(1, 0), (2, 0), (3, 1)])
def test_a_face_that_is_missed_for_two_samples_at_most_is_the_same(missed: int, again: int) -> None:
    assert link([[(RED, 50)], *[[]] * missed, [(RED, 54)]])[-1] == [again]


def test_a_face_that_moves_fast_is_known_by_its_colours() -> None:
    assert link([[(RED, 20), (GREEN, 200)], [(RED, 75), (GREEN, 145)]]) == [[0, 1], [0, 1]]


def test_no_track_leads_over_a_cut_even_where_the_face_stays() -> None:
    before, after = film([[(RED, 50)]] * 2), film([[(RED, 50)]] * 2, wall=(10, 40, 90))
    images, boxes = before[0] + after[0], np.concatenate([before[2], after[2]])
    assert starts_of_shots(images) == [True, False, True, False]
    assert link_faces(images, np.arange(4), boxes).tolist() == [0, 0, 1, 1]


def test_a_cut_is_seen_in_the_dark() -> None:
    dark = [np.full((90, 160, 3), 12, np.uint8), np.full((90, 160, 3), 12, np.uint8)]
    dark[1][:, :80] = 40
    dark[1][50:, 80:] = 70
    assert starts_of_shots(dark) == [True, True]


def test_a_picture_that_pans_is_one_shot() -> None:
    rng = np.random.default_rng(0)
    wide = np.kron(rng.integers(0, 256, (6, 24, 3)), np.ones((30, 30, 1))).astype(np.uint8)
    assert starts_of_shots([wide[:, x : x + 320] for x in (0, 8, 16, 24)]) == [True, False, False, False]


def test_faces_beyond_the_edge_and_no_faces_at_all_are_no_error() -> None:
    images, _, _ = film([[], []])
    assert link_faces(images, np.empty(0, int), np.empty((0, 4), np.float32)).tolist() == []
    outside = np.array([[-60, -60, -10, -10], [300, 100, 360, 160]], np.float32)
    assert link_faces(images, np.array([0, 1]), outside).tolist() == [0, 1]
    assert starts_of_shots([]) == []
