"""Faces of one utterance linked into tracks: who is the same from one sampled frame to the next.

A face goes on with the track whose last box it overlaps and whose colours it has; where overlap fails, as in
fast motion, colours and nearness decide.  A track never leads over a cut: after one, everybody begins anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment

LEAST_OVERLAP = 0.2
"""Intersection over union with the track's last box."""
LEAST_LIKENESS = 0.4
"""Of the colours, where boxes overlap: a matched cut or a face before another is somebody else."""
LEAST_LIKENESS_ALONE = 0.6
"""Of the colours, where boxes do not overlap."""
MOST_MOVED = 1.5
"""Face sizes between two samples, where boxes do not overlap."""
MOST_GROWN = 1.5
"""Ratio of the sizes of two faces, where boxes do not overlap."""
MOST_MISSED = 2
"""Samples in a row in which a face may not be found, and be the same when it is found again."""
CUT_LIKENESS = 0.65
"""Two samples whose pictures are less alike are of different shots."""

_LEVELS = 4  # of each of red, green and blue
# By the root of the value: in a dark film all would be in the lowest quarter.
_LEVEL = (_LEVELS * np.sqrt(np.arange(256) / 256)).astype(np.int64)
_GRID = 4  # parts of a picture in each direction
_PICTURE_PX = 64  # of a picture as it is compared


def link_faces(images: Sequence[np.ndarray], image: np.ndarray, box_px: np.ndarray) -> np.ndarray:
    """The track of each face, int64 [F], numbered from 0 in order of their first faces.

    ``image`` [F] says in which of the sampled pictures (RGB uint8 [height, width, 3]) a face is, in order.
    """
    colours = [_face_colours(images[number], box) for number, box in zip(image, box_px, strict=True)]
    track = np.full(len(image), -1)
    last: dict[int, int] = {}  # track -> its last face
    tracks = 0
    for number, new_shot in enumerate(starts_of_shots(images)):
        faces: list[int] = np.flatnonzero(image == number).tolist()
        last = {} if new_shot else {t: f for t, f in last.items() if number - image[f] <= MOST_MISSED + 1}
        known = list(last)
        likeness = np.array([[_likeness(f, last[t], image, box_px, colours) for t in known] for f in faces])
        for row, column in _best_pairs(likeness.reshape(len(faces), len(known))):
            track[faces[row]] = known[column]
        for face in faces:
            if track[face] < 0:
                track[face], tracks = tracks, tracks + 1
            last[int(track[face])] = face
    return track


def starts_of_shots(images: Sequence[np.ndarray]) -> list[bool]:
    """Of each sampled picture, whether another shot begins between it and the one before."""
    looks = [_picture_colours(picture) for picture in images]
    return [True] * min(1, len(looks)) + [
        float(np.minimum(one, other).sum()) < CUT_LIKENESS for one, other in pairwise(looks)
    ]


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes [4]."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    areas = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]))
    return shared / (areas - shared) if areas > shared else 0.0


def _likeness(
    face: int, before: int, image: np.ndarray, box_px: np.ndarray, colours: Sequence[np.ndarray]
) -> float:
    """How much two faces are one person's, up to 2; 0 where they cannot be."""
    alike = float(np.minimum(colours[face], colours[before]).sum())
    shared = overlap(box_px[face], box_px[before])
    if shared >= LEAST_OVERLAP:
        return shared + alike if alike >= LEAST_LIKENESS else 0.0
    sizes = np.sqrt([np.prod(box_px[each, 2:] - box_px[each, :2]) for each in (face, before)])
    moved = np.abs(box_px[face] - box_px[before]).reshape(2, 2).mean(axis=0).max()
    near = moved <= MOST_MOVED * sizes.mean() * (image[face] - image[before])
    near = near and sizes.max() <= MOST_GROWN * sizes.min()
    return alike if near and alike >= LEAST_LIKENESS_ALONE else 0.0


def _best_pairs(likeness: np.ndarray) -> Iterator[tuple[int, int]]:
    """Rows and columns that go together, so that the sum is the greatest."""
    for row, column in zip(*linear_sum_assignment(likeness, maximize=True), strict=True):
        if likeness[row, column] > 0:
            yield int(row), int(column)


def _face_colours(picture: np.ndarray, box_px: np.ndarray) -> np.ndarray:
    """How often each colour is in the upper and the lower half of a face: float [128], sum 1."""
    height, width = picture.shape[:2]
    left, top, right, bottom = box_px.round().astype(int)
    left, right = sorted(np.clip([left, max(right, left + 1)], 0, width))
    middle = (top + bottom) // 2
    halves = [
        picture[slice(*np.clip([low, high], 0, height)), left:right]
        for low, high in ((top, middle), (middle, bottom))
    ]
    return np.concatenate([_histogram(half) for half in halves]) / 2


def _picture_colours(picture: np.ndarray) -> np.ndarray:
    """The same of each of 16 parts of a picture: float [1024], sum 1."""
    step = max(1, -(-max(picture.shape[:2]) // _PICTURE_PX))
    small = picture[::step, ::step]
    parts = [part for row in np.array_split(small, _GRID) for part in np.array_split(row, _GRID, axis=1)]
    return np.concatenate([_histogram(part) for part in parts]) / len(parts)


def _histogram(pixels: np.ndarray) -> np.ndarray:
    """Share of the pixels [..., 3] with each of 64 colours."""
    red, green, blue = _LEVEL[pixels.reshape(-1, 3)].T
    counts = np.bincount((red * _LEVELS + green) * _LEVELS + blue, minlength=_LEVELS**3)
    return counts / max(1, len(red))
