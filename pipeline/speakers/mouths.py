"""How much the mouth of a tracked face moves from frame to frame, the motion of the head left out.

The measure of Everingham, Sivic and Zisserman ("Hello! My name is... Buffy", BMVC 2006): the mean squared
difference of the mouth's region between two frames, at the shift at which it is least.  The head's place,
size and tilt are taken out before, by landmarks, interpolated from one sampled frame to the next; and the
difference is given in units of the face's own contrast, so that light and camera do not count.
"""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.media.luma import LumaFrame

# Left eye, right eye, nose, corners of the mouth, in a face of 56 x 60 px: those of InsightFace's alignment
# (arcface, 112 px), halved.
_LANDMARKS_PX = np.array([[19.2, 25.9], [36.8, 25.8], [28.0, 35.9], [20.8, 46.2], [35.4, 46.1]])
_FACE = (slice(20, 56), slice(13, 43))
_MOUTH = (slice(39, 56), slice(16, 40))
"""Rows and columns: from below the nose to the chin."""
_SEARCH_PX = 2
_SIZE_PX = (56, 60)

STEP_S = 0.03
"""Frames that follow one another faster, as of 50 a second, are left out."""
_LEAST_CONTRAST = 1.0  # of 255: less is a blank picture
LEAST_DETECTIONS = 3
"""A face that was found less often is likely none."""


class MouthMotion:
    """The mouth of one track, which is shown the frames of the film in order."""

    def __init__(self, frame_index: np.ndarray, landmarks_px: np.ndarray) -> None:
        """``frame_index`` [K], ascending: where the face was found; ``landmarks_px`` [K, 5, 2] what was."""
        self._found_in, self._landmarks_px = frame_index, landmarks_px.reshape(-1, 10)
        self._last: tuple[float, np.ndarray] | None = None
        self._times_s: list[float] = []
        self._differences: list[float] = []
        self._contrasts: list[float] = []

    def see(self, frame: LumaFrame) -> None:
        """Measure between this frame and the last one; frames before and after the track do not count."""
        if not self._found_in[0] <= frame.number <= self._found_in[-1]:
            return
        if self._last and not frame.time_s - self._last[0] >= STEP_S:
            return
        face = self._cut(frame)
        if self._last:
            time_s, before = self._last
            self._times_s.append((time_s + frame.time_s) / 2)
            self._differences.append(_least_difference(before, face))
            self._contrasts.append(float(face[_FACE].std()))
        self._last = frame.time_s, face

    @property
    def times_s(self) -> np.ndarray:
        """float64 [n]: the moments between frames, on the player's clock."""
        return np.array(self._times_s)

    @property
    def motion(self) -> np.ndarray:
        """float64 [n]: root mean squared difference of the mouth over the standard deviation of the face."""
        if not self._contrasts:
            return np.empty(0)
        return np.sqrt(self._differences) / max(float(np.mean(self._contrasts)), _LEAST_CONTRAST)

    def _cut(self, frame: LumaFrame) -> np.ndarray:
        """The face upright and at one size: float32 [60, 56]."""
        points = np.array(
            [np.interp(frame.number, self._found_in, column) for column in self._landmarks_px.T]
        )
        # At twice the size and shrunk, so that of a large face all pixels count.
        to_twice = _similarity(points.reshape(5, 2), 2 * _LANDMARKS_PX)
        size_px = (2 * _SIZE_PX[0], 2 * _SIZE_PX[1])
        cut = cv2.warpAffine(frame.luma, to_twice, size_px, borderMode=cv2.BORDER_REPLICATE)
        return cv2.resize(cut, _SIZE_PX, interpolation=cv2.INTER_AREA).astype(np.float32)


def _similarity(points: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Turn, scale and shift [2, 3] that bring points [n, 2] nearest to their targets, by least squares."""
    middle, target = points.mean(axis=0), targets.mean(axis=0)
    (x, y), (u, v) = (points - middle).T, (targets - target).T
    size = max(float((x * x + y * y).sum()), 1e-6)
    along, across = float((x * u + y * v).sum()) / size, float((x * v - y * u).sum()) / size
    turn = np.array([[along, -across], [across, along]])
    return np.column_stack([turn, target - turn @ middle])


def _least_difference(before: np.ndarray, face: np.ndarray) -> float:
    """Mean squared difference of the mouth now to any place near it before, the least of them."""
    rows, columns = _MOUTH
    near = before[_wider(rows), _wider(columns)]
    mouth = np.ascontiguousarray(face[_MOUTH])
    return max(0.0, float(cv2.matchTemplate(near, mouth, cv2.TM_SQDIFF).min())) / mouth.size


def _wider(part: slice) -> slice:
    return slice(part.start - _SEARCH_PX, part.stop + _SEARCH_PX)
