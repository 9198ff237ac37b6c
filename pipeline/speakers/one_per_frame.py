"""One face of each frame, whoever speaks.

Apart from what tells who speaks: its thresholds are no part of what all faces give.
"""

from __future__ import annotations

import numpy as np


def largest_faces(frame_index: np.ndarray, box_px: np.ndarray) -> np.ndarray:
    """Places of the largest face of each frame, in order of the frames."""
    left, top, right, bottom = box_px.T
    return first_by_frame(frame_index, -(right - left) * (bottom - top))


def first_by_frame(frame_index: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Place of the face of each frame for which ``order`` is least; of equals the first."""
    by_frame = np.lexsort((order, frame_index))
    _, first = np.unique(frame_index[by_frame], return_index=True)
    return by_frame[first]
