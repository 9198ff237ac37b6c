"""The picture of the demo corpus: who sits where, how they look and move, before which background.

A frame is drawn from its number alone, so the place of the faces in it (``face_boxes_px``) is known
without drawing it: ground truth for a face detector.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from skimage import data

from pipeline.corpora.demo import face
from pipeline.corpora.demo.face import EXPRESSIONS, FACE_BOX_PX, FACE_CENTRE_PX, NECK_PX, Expression
from pipeline.corpora.demo.script import FRAME_RATE_HZ, DemoUtterance

WIDTH_PX, HEIGHT_PX = 320, 240
SPEECH_OPENING_PX = 7.0

Box = tuple[float, float, float, float]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """What tells one speaker from another; colours are factors on the photograph's red, green, blue."""

    skin: Colour
    hair: Colour
    clothes_hue: int
    """Added to the hue of the clothes, in OpenCV's half degrees."""
    mirrored: bool
    width: float
    wide_jaw: float
    long_nose: float
    glasses: bool = False


LOOKS = {
    "Alma": Look((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), 0, False, 1.0, 0.0, 0.0),
    "Bruno": Look((0.9, 0.84, 0.78), (0.4, 0.34, 0.32), 95, True, 1.08, 1.0, 1.0),
    "Chen": Look((1.0, 0.95, 0.83), (0.22, 0.22, 0.26), 150, False, 1.04, 0.3, -0.5, glasses=True),
    "Dalia": Look((0.78, 0.68, 0.6), (0.5, 0.32, 0.26), 60, True, 0.96, -0.6, 0.6),
    "Emeka": Look((0.72, 0.6, 0.53), (0.25, 0.22, 0.22), 20, False, 1.05, 0.8, 0.2),
    "Freya": Look((1.03, 0.98, 0.97), (1.2, 0.72, 0.45), 120, True, 0.95, -0.3, -0.8, glasses=True),
}


@dataclass(frozen=True)
class Motion:
    """How the head moves: side to side, up and down, tilting; sizes are peaks."""

    sway_px: float
    sway_hz: float
    nod_px: float
    nod_hz: float
    roll_deg: float
    lowered_px: float = 0.0
    zoom: float = 0.0
    """Nearer to the camera (farther, if negative), as a fraction of the size."""
    tremble_px: float = 0.0


MOTIONS = {
    "neutral": Motion(3, 0.35, 1.5, 0.5, 1.5),
    "joy": Motion(5, 0.9, 4, 1.6, 4, lowered_px=-2),
    "anger": Motion(6, 1.8, 4, 2.2, 3, zoom=0.07),
    "surprise": Motion(2, 0.5, 3, 0.8, 2, lowered_px=-5, zoom=-0.05),
    "sadness": Motion(2, 0.2, 2, 0.3, 2.5, lowered_px=11, zoom=-0.03),
    "fear": Motion(2, 0.6, 1.5, 0.9, 1.5, lowered_px=3, zoom=-0.06, tremble_px=1.2),
    "disgust": Motion(4, 0.5, 2, 0.6, 6, lowered_px=2, zoom=-0.02),
}

# Outlines in the photograph, by hand.
_HEAD = (
    (154, 84), (154, 70), (160, 52), (176, 40), (190, 35), (193, 28), (208, 22), (230, 16), (254, 19),
    (270, 27), (288, 40), (296, 58), (300, 76), (299, 92), (295, 108), (286, 120), (278, 129), (270, 137),
    (264, 148), (259, 160), (256, 178), (240, 189), (205, 188), (187, 178), (185, 154), (183, 144),
    (181, 132), (174, 128), (171, 118), (164, 112), (157, 102),
)  # fmt: skip
_SKIN = (
    (184, 68), (199, 80), (220, 78), (236, 80), (252, 86), (266, 90), (270, 100), (276, 128), (270, 137),
    (264, 148), (259, 160), (256, 178), (240, 189), (205, 188), (187, 178), (185, 154), (181, 132),
    (174, 128), (180, 110), (185, 86),
)  # fmt: skip
_BODY = (
    (186, 148), (165, 149), (140, 160), (122, 175), (116, 192), (117, 205), (107, 213), (75, 238),
    (55, 266), (40, 300), (25, 345), (20, 400), (20, 511), (365, 511), (365, 352), (356, 310), (345, 270),
    (320, 243), (304, 236), (300, 220), (280, 190), (256, 172),
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """Somebody in the picture: where, and with which emotion."""

    look: Look
    emotion: str
    speaks: bool
    centre_px: tuple[float, float]
    scale: float
    phase: float
    strength: float

    def expression(self, time_s: float, mouth_opening: float) -> Expression:
        """The face at a time; ``mouth_opening``, 0 to 1, is added to what the emotion does."""
        onset = 0.4 + 0.6 * min(time_s / 0.4, 1.0)
        wavering = 0.94 + 0.06 * np.sin(5 * time_s + self.phase)
        felt = EXPRESSIONS["neutral"].towards(
            EXPRESSIONS[self.emotion], float(self.strength * onset * wavering)
        )
        opening_px = SPEECH_OPENING_PX * mouth_opening if self.speaks else 0.0
        return replace(
            felt,
            wide_jaw=self.look.wide_jaw,
            long_nose=self.look.long_nose,
            mouth_open_px=felt.mouth_open_px + opening_px,
        )

    def transform(self, time_s: float, camera_px: np.ndarray) -> np.ndarray:
        """Affine map [2, 3] from the photograph to the frame."""
        m = MOTIONS[self.emotion]
        turn = 2 * np.pi * time_s
        across = m.sway_px * np.sin(m.sway_hz * turn + self.phase) + m.tremble_px * np.sin(10.3 * turn)
        down = m.nod_px * np.sin(m.nod_hz * turn + 2 * self.phase) + m.tremble_px * np.sin(8.7 * turn + 1)
        roll = np.deg2rad(m.roll_deg) * np.sin(0.8 * m.sway_hz * turn + 3 * self.phase)
        size = self.scale * (1 + m.zoom)
        mirror = -1 if self.look.mirrored else 1
        stretch = np.diag([mirror * self.look.width * size, size])
        rotate = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        linear = rotate @ stretch
        # The head tilts about the neck, which stays where it would be without the tilt.
        neck = stretch @ (np.array(NECK_PX) - FACE_CENTRE_PX) + self.centre_px
        neck += camera_px + np.array([across, down + m.lowered_px])
        return np.column_stack([linear, neck - linear @ NECK_PX])


def face_boxes_px(utterance: DemoUtterance, frame_index: int) -> list[Box]:
    """Where faces are drawn in a frame: (left, top, right, bottom) each, the speaker's first."""
    time_s = frame_index / FRAME_RATE_HZ
    boxes = []
    for person in _people(utterance):
        boxes.append(face_box_px(person.transform(time_s, _camera_px(utterance, time_s))))
    return boxes


def face_box_px(transform: np.ndarray) -> Box:
    """Left, top, right and bottom of a face; ``transform`` [2, 3] maps the photograph to the frame."""
    x, y = transform @ (*FACE_CENTRE_PX, 1)
    half_width = np.linalg.norm(transform[:, 0]) * (FACE_BOX_PX[2] - FACE_BOX_PX[0]) / 2
    half_height = np.linalg.norm(transform[:, 1]) * (FACE_BOX_PX[3] - FACE_BOX_PX[1]) / 2
    return float(x - half_width), float(y - half_height), float(x + half_width), float(y + half_height)


def draw_frames(utterance: DemoUtterance, mouth_opening: np.ndarray) -> Iterator[np.ndarray]:
    """The clip's frames, one per value of ``mouth_opening`` (0..1): uint8 [240, 320, 3], RGB."""
    people = _people(utterance)
    place = draw_place(utterance.dialogue_rng(), WIDTH_PX + 80, HEIGHT_PX + 60)
    for index, opening in enumerate(mouth_opening):
        time_s = index / FRAME_RATE_HZ
        camera_px = _camera_px(utterance, time_s)
        # What is farther away moves less.
        left, top = (round(float(c)) for c in (40, 30) - 0.5 * camera_px)
        frame = np.ascontiguousarray(place[top : top + HEIGHT_PX, left : left + WIDTH_PX])
        for person in people:
            expression = person.expression(time_s, float(opening))
            frame = draw_person(frame, person.look, expression, person.transform(time_s, camera_px))
        yield frame


def draw_person(frame: np.ndarray, look: Look, expression: Expression, transform: np.ndarray) -> np.ndarray:
    """A frame with somebody before what it shows; ``transform`` [2, 3] maps the photograph to the frame."""
    drawn = face.draw_face(*_portrait(look), expression)
    if look.glasses:
        drawn = _put_on_glasses(drawn)
    size_px = (frame.shape[1], frame.shape[0])
    drawn = cv2.warpAffine(drawn, transform, size_px)
    cover = cv2.warpAffine(_outline(_HEAD, _BODY), transform, size_px)
    return cv2.blendLinear(drawn, frame, cover, 1 - cover)


def _people(utterance: DemoUtterance) -> list[Person]:
    if utterance.fault == "no_face":
        return []
    rng = utterance.rng()
    phase, listener_phase = rng.uniform(0, 2 * np.pi, 2)
    strength = rng.uniform(0.85, 1.05)
    shot = rng.uniform(-1, 1, 3)
    look, other = LOOKS[utterance.speaker], LOOKS[utterance.listener]
    if utterance.fault == "two_faces":
        return [
            Person(look, utterance.emotion, True, (88.0, 118.0), 0.82, phase, strength),
            Person(other, "neutral", False, (232.0, 120.0), 0.82, listener_phase, 1.0),
        ]
    centre_px = (160 + 22 * shot[0], 112 + 3 * shot[1])
    return [Person(look, utterance.emotion, True, centre_px, 0.95 + 0.03 * shot[2], phase, strength)]


def _camera_px(utterance: DemoUtterance, time_s: float) -> np.ndarray:
    """How far the picture has moved by the camera's motion: right, down."""
    phase = utterance.rng().uniform(0, 2 * np.pi)
    return np.array([4 * np.sin(1.1 * time_s + phase), 1.5 * np.sin(1.7 * time_s + phase)])


@lru_cache(maxsize=len(LOOKS))
def _portrait(look: Look) -> tuple[np.ndarray, np.ndarray]:
    """The photograph with and without its smile's folds, in the speaker's colours."""
    skin = _outline(_SKIN)[..., None]
    # Wider than the head, or a rim of the bright wall behind it would show.
    head = cv2.dilate(_outline(_HEAD), np.ones((9, 9)))[..., None]
    hair = head * (1 - skin)
    tinted = []
    for photo in face.photograph():
        hsv = cv2.cvtColor(photo, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(int) + look.clothes_hue) % 180
        dressed = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
        colours = photo * (skin * np.array(look.skin) + hair * np.array(look.hair))
        tinted.append((colours + dressed * (1 - skin - hair)).clip(0, 255).astype(np.uint8))
    return tinted[0], tinted[1]


@lru_cache(maxsize=4)
def _outline(*polygons: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Soft mask of the union of polygons: float32 [512, 512] in 0..1."""
    mask = np.zeros((512, 512), np.float32)
    for polygon in polygons:
        cv2.fillPoly(mask, [np.array(polygon, np.int32)], 1.0)
    return cv2.GaussianBlur(mask, (0, 0), 1.8)


def _put_on_glasses(photo: np.ndarray) -> np.ndarray:
    rim, worn = (60, 45, 45), photo.copy()
    for x, y in ((204, 103), (246, 105)):
        cv2.ellipse(worn, (x, y), (14, 10), 0, 0, 360, rim, 1, cv2.LINE_AA)
    for start, end in (((218, 102), (232, 103)), ((190, 101), (181, 98)), ((260, 103), (270, 101))):
        cv2.line(worn, start, end, rim, 1, cv2.LINE_AA)
    return worn


def draw_place(rng: np.random.Generator, width_px: int, height_px: int) -> np.ndarray:
    """A blurred background, at most as large as 400 x 300: uint8 [height, width, 3]."""
    photos = (data.coffee, data.rocket, data.brick, data.grass, data.gravel)
    photo = photos[int(rng.integers(len(photos)))]()
    if photo.ndim == 2:
        photo = cv2.cvtColor(photo, cv2.COLOR_GRAY2RGB)
    left = rng.integers(0, photo.shape[1] - width_px + 1)
    top = rng.integers(0, photo.shape[0] - height_px + 1)
    part = photo[top : top + height_px, left : left + width_px]
    blurred = cv2.GaussianBlur(part, (0, 0), 7).astype(np.float32)
    brightness = rng.uniform(70, 150) * rng.uniform(0.75, 1.25, 3)
    return np.clip(blurred / max(float(blurred.mean()), 1.0) * brightness, 0, 255).astype(np.uint8)
