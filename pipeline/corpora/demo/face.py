"""A photographed face that shows emotions: skimage's ``astronaut`` (NASA, public domain), warped.

The photograph smiles.  Its mouth is modelled by the edges of the two lips, so that it can be closed,
bent and opened; brows, lids, nose and cheeks move by smooth displacement fields, named after the action
units of Ekman and Friesen's Facial Action Coding System.  All coordinates are pixels of the photograph.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import cv2
import numpy as np
from skimage import data

# What MTCNN finds in the photograph itself: left, top, right, bottom.
FACE_BOX_PX = (180.0, 61.0, 268.0, 172.0)
FACE_CENTRE_PX = (224.0, 116.0)
NECK_PX = (222.0, 195.0)

# The part that expressions move: left, top, right, bottom.
_PATCH_PX = (150, 60, 300, 206)

# The photograph's mouth: its middle, half its width, the corners' height, and how far the middle of
# the upper lip's lower edge and of the lower lip's upper edge hang below the corners.
_MOUTH_X, _MOUTH_HALF_WIDTH, _CORNER_Y, _UPPER_DROP, _LOWER_DROP = 224.0, 21.5, 140.0, 3.6, 9.4
_TEETH_HEIGHT = 5.2
_EYES = ((204.0, 101.0), (246.5, 103.3))

# Per action unit: Gaussian bumps (x, y, shift right, shift down, width, height of the bump).
_BUMPS = {
    "inner_brow_raiser": ((211, 92, 0, -4.6, 8, 6), (240, 93, 0, -4.6, 8, 6)),
    "outer_brow_raiser": ((194, 89, 0, -4.6, 8, 6), (256, 92, 0, -4.6, 8, 6)),
    "brow_lowerer": ((210, 92, 2.6, 4.4, 9, 6), (241, 93, -2.6, 4.4, 9, 6)),
    "nose_wrinkler": ((213, 126, -1.0, -4.2, 7, 8), (234, 127, 1.0, -4.2, 7, 8), (223, 110, 0, -1.5, 6, 7)),
    "cheek_raiser": ((198, 116, 0, -3.6, 11, 8), (250, 118, 0, -3.6, 11, 8)),
    "wide_jaw": ((186, 152, -5, 0, 9, 20), (262, 152, 5, 0, 9, 20)),
    "long_nose": ((223, 128, 0, 3.0, 10, 9),),
}

# Per action unit: dark creases as lines (x, y, x, y).
_CREASES = {
    "brow_lowerer": ((219, 91, 220, 99), (229, 91, 228, 99)),
    "nose_wrinkler": ((216, 109, 231, 108), (217, 113, 230, 112), (211, 120, 208, 130), (236, 121, 239, 131)),
}


# Change of red, green and blue of blushing and of pale skin.
_FLUSHED = np.array([0.03, -0.11, -0.11], np.float32)
_PALE = np.array([0.0, 0.06, 0.11], np.float32)


@dataclass(frozen=True)
class Expression:
    """How strongly each muscle acts; 0 is at rest, 1 strong.  Lengths are in pixels of the photograph."""

    inner_brow_raiser: float = 0.0
    outer_brow_raiser: float = 0.0
    brow_lowerer: float = 0.0
    nose_wrinkler: float = 0.0
    cheek_raiser: float = 0.0
    wide_jaw: float = 0.0
    long_nose: float = 0.0
    eye_opening: float = 1.0
    """Height of the eyes relative to the photograph's."""
    mouth_width: float = 0.86
    """Relative to the photograph's broad smile."""
    corners_down_px: float = 0.0
    """Mouth corners below (above, if negative) the middle of the closed lips."""
    upper_lip_up_px: float = 0.0
    mouth_open_px: float = 0.0
    teeth: float = 0.3
    """Share of the upper teeth's height that shows in an open mouth."""
    smile_folds: float = 0.0
    """How much of the photograph's folds between nose and mouth remains."""
    flush: float = 0.0
    """Redness of the skin; pallor if negative."""

    def towards(self, other: Expression, share: float) -> Expression:
        """The expression ``share`` of the way to another one."""
        mixed = {f.name: getattr(self, f.name) for f in fields(self)}
        return Expression(**{k: v + share * (getattr(other, k) - v) for k, v in mixed.items()})


EXPRESSIONS = {
    "neutral": Expression(),
    "joy": Expression(
        cheek_raiser=1.0, outer_brow_raiser=0.35, eye_opening=0.85, mouth_width=1.04, corners_down_px=-6.0,
        mouth_open_px=5.0, teeth=1.0, smile_folds=1.0,
    ),
    "anger": Expression(
        brow_lowerer=1.25, outer_brow_raiser=0.45, nose_wrinkler=0.35, eye_opening=1.05, mouth_width=0.88,
        corners_down_px=3.0, upper_lip_up_px=1.0, mouth_open_px=3.0, teeth=0.9, flush=1.0,
    ),
    "surprise": Expression(
        inner_brow_raiser=1.1, outer_brow_raiser=1.1, eye_opening=1.4, mouth_width=0.62, mouth_open_px=10.0,
        teeth=0.25,
    ),
    "sadness": Expression(
        inner_brow_raiser=1.15, outer_brow_raiser=-0.5, eye_opening=0.62, mouth_width=0.82,
        corners_down_px=5.5, teeth=0.0, flush=-0.25,
    ),
    "fear": Expression(
        inner_brow_raiser=1.1, outer_brow_raiser=0.4, brow_lowerer=0.25, eye_opening=1.4, mouth_width=1.06,
        corners_down_px=3.5, mouth_open_px=4.0, teeth=0.45, flush=-1.0,
    ),
    "disgust": Expression(
        nose_wrinkler=1.25, brow_lowerer=0.8, cheek_raiser=0.5, eye_opening=0.6, mouth_width=0.84,
        corners_down_px=4.5, upper_lip_up_px=3.0, teeth=0.5, smile_folds=0.8, flush=0.2,
    ),
}  # fmt: skip


def photograph() -> tuple[np.ndarray, np.ndarray]:
    """The photograph as it is and with the folds of its smile smoothed away: uint8 [512, 512, 3], RGB."""
    photo = np.ascontiguousarray(data.astronaut())
    folds = np.zeros(photo.shape[:2], np.uint8)
    for line in (((211, 121), (205, 126), (197, 136)), ((236, 122), (244, 129), (250, 137), (250, 142))):
        cv2.polylines(folds, [np.array(line, np.int32)], False, 255, 5)
    return photo, cv2.inpaint(photo, folds, 5, cv2.INPAINT_TELEA)


def draw_face(photo: np.ndarray, smooth_photo: np.ndarray, expression: Expression) -> np.ndarray:
    """A copy of ``photo`` (uint8 RGB, see ``photograph``) with the expression on its face."""
    left, top, right, bottom = _PATCH_PX
    x, y = _grid()
    flow_x, flow_y = _muscle_flow(expression)
    source_x, source_y, cavity = _mouth(expression, x - flow_x, y - flow_y)
    maps = source_x.astype(np.float32), source_y.astype(np.float32)
    patch = cv2.remap(smooth_photo, *maps, cv2.INTER_LINEAR)
    if expression.smile_folds > 0:
        folded = cv2.remap(photo, *maps, cv2.INTER_LINEAR)
        patch = cv2.addWeighted(folded, expression.smile_folds, patch, 1 - expression.smile_folds, 0)

    # Creases are warm: blood makes them dark in green and blue first.
    shaded = patch * (1 - _shade(expression)[..., None] * np.array([0.7, 1.0, 1.0], np.float32))
    colour = _FLUSHED if expression.flush > 0 else _PALE
    shaded *= 1 + _skin()[..., None] * abs(expression.flush) * colour
    shaded += (_cavity_colour() - shaded) * cavity[..., None]
    drawn = photo.copy()
    drawn[top:bottom, left:right] = np.clip(shaded, 0, 255)
    return drawn


def _mouth(e: Expression, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each pixel comes from once the mouth has its form, and how much of it is the mouth's inside."""
    # Across: -1 and 1 are the corners that are drawn; beyond them the pull fades out.
    across = (x - _MOUTH_X) / (_MOUTH_HALF_WIDTH * e.mouth_width)
    beyond = np.maximum(np.abs(across) - 1, 0)
    inside = np.maximum(1 - across**2, 0)
    fade_x = np.exp(-((beyond / 0.55) ** 2))
    pull = np.clip(across, -1, 1) * _MOUTH_HALF_WIDTH * (1 - e.mouth_width)
    source_x = x + pull * fade_x * np.exp(-(((y - 146) / 13) ** 2))

    tilt = 0.02 * (x - _MOUTH_X)
    photo_upper = _CORNER_Y + _UPPER_DROP * inside + tilt
    photo_lower = _CORNER_Y + _LOWER_DROP * inside + tilt
    line = 145.5 + e.corners_down_px * np.minimum(across**2, 1) - 0.3 * e.corners_down_px + tilt
    upper = line - (0.25 * e.mouth_open_px + e.upper_lip_up_px) * inside
    lower = line + 0.75 * e.mouth_open_px * inside

    jaw = 0.6 * e.mouth_open_px * np.exp(-(((x - _MOUTH_X) / 34) ** 4))
    jaw *= 1 / (1 + np.exp((y - 186) / 4)) * np.clip((y - line) / 10, 0, 1)
    upper_shift = (photo_upper - upper) * fade_x * np.exp(-((np.maximum(upper - y, 0) / 7) ** 2))
    # The lip goes where its edge is drawn, and what lies further below goes with the jaw.
    at_lip = np.exp(-((np.maximum(y - lower, 0) / 9) ** 2))
    lower_shift = (photo_lower - lower) * fade_x * at_lip - jaw * (1 - at_lip)

    below_upper, above_lower = y - upper, lower - y
    source_y = y + np.where(above_lower <= below_upper, lower_shift, upper_shift)
    # The inside shows the photograph's teeth at their own size, and darkness below them.
    opened = np.clip(below_upper + 0.5, 0, 1) * np.clip(above_lower + 0.5, 0, 1) * (inside > 0)
    shown, hidden = e.teeth * _TEETH_HEIGHT * inside, (1 - e.teeth) * _TEETH_HEIGHT * inside
    teeth = opened * np.clip(shown - below_upper + 0.5, 0, 1) * (lower - upper > 1)
    source_y = np.where(teeth > 0, photo_upper + hidden + below_upper, source_y)
    return source_x, source_y, opened - teeth


@lru_cache(maxsize=1)
def _grid() -> tuple[np.ndarray, np.ndarray]:
    left, top, right, bottom = _PATCH_PX
    x, y = np.meshgrid(np.arange(left, right, dtype=np.float32), np.arange(top, bottom, dtype=np.float32))
    return x, y


@lru_cache(maxsize=1)
def _flow_basis() -> dict[str, np.ndarray]:
    """Per action unit, the displacement at full strength: float32 [2, height, width]."""
    x, y = _grid()
    basis = {}
    for unit, bumps in _BUMPS.items():
        flow = np.zeros((2, *x.shape), np.float32)
        for cx, cy, dx, dy, width, height in bumps:
            bump = np.exp(-(((x - cx) / width) ** 2) - ((y - cy) / height) ** 2)
            flow += np.stack([dx * bump, dy * bump])
        basis[unit] = flow
    return basis


@lru_cache(maxsize=1)
def _eye_offsets() -> np.ndarray:
    """Height over the nearer eye's middle, faded out around the eyes: float32 [height, width]."""
    x, y = _grid()
    offsets = np.zeros_like(x)
    for cx, cy in _EYES:
        offsets += (y - cy) * np.exp(-(((x - cx) / 12) ** 4) - ((y - cy) / 5.5) ** 2)
    return offsets


def _muscle_flow(e: Expression) -> tuple[np.ndarray, np.ndarray]:
    """Displacement of all action units but the mouth's: two arrays [height, width]."""
    x, _ = _grid()
    flow = np.zeros((2, *x.shape), np.float32)
    for unit, basis in _flow_basis().items():
        strength = getattr(e, unit)
        if strength:
            flow += strength * basis
    flow[1] += (1 - 1 / e.eye_opening) * _eye_offsets()
    return flow[0], flow[1]


@lru_cache(maxsize=1)
def _crease_basis() -> dict[str, np.ndarray]:
    """Per action unit, how dark its creases are at full strength: float32 [height, width]."""
    left, top, _, _ = _PATCH_PX
    x, _ = _grid()
    basis = {}
    for unit, lines in _CREASES.items():
        drawn = np.zeros(x.shape, np.float32)
        for x0, y0, x1, y1 in lines:
            cv2.line(drawn, (x0 - left, y0 - top), (x1 - left, y1 - top), 1.0, 1, cv2.LINE_AA)
        basis[unit] = cv2.GaussianBlur(drawn, (0, 0), 1.2) * 0.55
    return basis


def _shade(e: Expression) -> np.ndarray:
    x, _ = _grid()
    shade = np.zeros_like(x)
    for unit, crease in _crease_basis().items():
        shade += max(getattr(e, unit), 0) * crease
    return np.minimum(shade, 0.6)


@lru_cache(maxsize=1)
def _skin() -> np.ndarray:
    """Where the skin of the face is: float32 [height, width], soft at its border."""
    x, y = _grid()
    return np.exp(-(((x - 223) / 40) ** 6) - ((y - 128) / 44) ** 6).astype(np.float32)


@lru_cache(maxsize=1)
def _cavity_colour() -> np.ndarray:
    """The mouth's inside: dark, towards the tongue redder; float32 [height, width, 3]."""
    _, y = _grid()
    depth = np.clip((y - 147) / 12, 0, 1)[..., None]
    return ((1 - depth) * np.array([52, 18, 18]) + depth * np.array([128, 52, 52])).astype(np.float32)
