"""Clips of several people, one of whom speaks: the proof of finding the speaker among all faces.

    python -m pipeline.corpora.demo.group FOLDER [clips]

Writes a corpus in the table format, and beside each clip ``<clip>.csv`` with the truth: who is where in each
frame, and who speaks.  Mouths that do not speak are still, chew, or say another line; heads nod and turn; the
largest face is not always the speaker's; some clips cut to another shot, and in some the speaker is not seen.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from pipeline.corpora.demo.corpus import write_mp4
from pipeline.corpora.demo.scene import LOOKS, Box, Person, draw_person, draw_place, face_box_px
from pipeline.corpora.demo.script import DEALT_EMOTIONS, FRAME_RATE_HZ, LINES, SPEAKERS, SPLITS, DemoUtterance
from pipeline.corpora.demo.voice import sound_track
from pipeline.corpora.table import COLUMNS

WIDTH_PX, HEIGHT_PX = 640, 360
KINDS = ("still", "chewing", "miming", "turning", "cut", "three", "off_screen")
"""What the others do, or what is special; clips are of each kind in turn."""
TRUTH_COLUMNS = ("frame", "name", "speaks", "left", "top", "right", "bottom")

# How closely a mouth follows the loudness: lips also round, press together, and are ahead of the sound.
_OWN_SHARE = 0.35
_MOST_AHEAD_FRAMES = 2


@dataclass(frozen=True)
class Member:
    """Somebody in a shot."""

    name: str
    person: Person
    opening: np.ndarray
    """float [frames]: how wide the mouth is open, 0 to 1."""
    turn_rad: np.ndarray
    """float [frames]: how far the head is turned aside."""

    def transform(self, frame: int) -> np.ndarray:
        """Affine map [2, 3] from the photograph to the picture; a turned head looks narrower."""
        upright = self.person.transform(frame / FRAME_RATE_HZ, np.zeros(2))
        x = self.person.centre_px[0]
        narrow = np.cos(self.turn_rad[frame])
        upright[0] *= narrow
        upright[0, 2] += x * (1 - narrow) + 12 * self.person.scale * np.sin(self.turn_rad[frame])
        return upright


@dataclass(frozen=True)
class GroupClip:
    """One clip: what is said and by whom, and who is seen in which shot."""

    number: int
    kind: str
    utterance: DemoUtterance
    sound: np.ndarray
    """int16 [samples, 2]"""
    shots: list[tuple[int, list[Member]]]
    """(first frame, who is in the picture), in order."""
    frames: int

    @property
    def name(self) -> str:
        """Of the file, without its ending."""
        return f"clip{self.number:03}"

    def shot(self, frame: int) -> tuple[int, list[Member]]:
        """The shot that a frame belongs to."""
        return [shot for shot in self.shots if shot[0] <= frame][-1]

    def speaks(self, name: str) -> bool:
        """Whether somebody in the picture is who is heard."""
        return self.kind != "off_screen" and name == self.utterance.speaker


def write_group(folder: Path, numbers: Iterable[int]) -> list[GroupClip]:
    """Write the clips of these numbers, their truths and annotations.csv; the same bytes every time."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = [make_clip(number) for number in numbers]
    for clip in clips:
        write_mp4(folder / f"{clip.name}.mp4", _draw(clip), clip.sound, (WIDTH_PX, HEIGHT_PX))
        _write_rows(folder / f"{clip.name}.csv", TRUTH_COLUMNS, _truth(clip))
    rows = (
        (clip.number // 4, clip.number % 4, u.speaker, u.text, u.emotion, SPLITS[clip.number // 4 % 3],
         f"{clip.name}.mp4")
        for clip in clips
        for u in [clip.utterance]
    )  # fmt: skip
    _write_rows(folder / "annotations.csv", COLUMNS, rows)
    return clips


def make_clip(number: int) -> GroupClip:
    """One clip, by chance that depends on its number alone."""
    kind = KINDS[number % len(KINDS)]
    rng = np.random.default_rng([22, number])
    names = [SPEAKERS[place] for place in rng.permutation(len(SPEAKERS))]
    emotion = str(rng.choice(DEALT_EMOTIONS))
    text, other = rng.choice(LINES[emotion], 2, replace=False)
    utterance = DemoUtterance(number, "test", 0, 0, names[0], names[1], emotion, str(text), None)
    sound, opening = sound_track(utterance)
    frames = len(opening)
    mimed = np.resize(sound_track(replace(utterance, text=str(other)))[1], frames)
    count = 3 if kind == "three" else int(rng.integers(2, 4))
    seen = names[1 : count + 1] if kind == "off_screen" else names[:count]

    def mouth(name: str) -> np.ndarray:
        if name == utterance.speaker:
            ahead = int(rng.integers(0, _MOST_AHEAD_FRAMES + 1))
            return _articulate(np.roll(opening, -ahead), rng)
        does = kind if kind in ("still", "chewing", "miming") else rng.choice(["still", "chewing", "miming"])
        if does == "miming":
            return _articulate(np.roll(mimed, int(rng.integers(frames))), rng)
        return _chew(frames, rng) if does == "chewing" else np.zeros(frames)

    mouths = {name: mouth(name) for name in seen}
    edges = [0, int(frames * rng.uniform(0.35, 0.65))] if kind == "cut" else [0]
    shots = [(edge, _arrange(seen, mouths, utterance, kind, rng)) for edge in edges]
    return GroupClip(number, kind, utterance, sound, shots, frames)


def _arrange(
    seen: list[str],
    mouths: dict[str, np.ndarray],
    utterance: DemoUtterance,
    kind: str,
    rng: np.random.Generator,
) -> list[Member]:
    """Everybody at a place and a size by chance, the nearest last."""
    members = []
    for place, index in enumerate(rng.permutation(len(seen))):
        name = seen[index]
        scale = rng.uniform(0.55, 0.95) * (1 if len(seen) < 3 else 0.9)
        x = (place + 0.5) * WIDTH_PX / len(seen) + rng.uniform(-15, 15)
        y = 160 + rng.uniform(-20, 10)
        felt = (
            utterance.emotion if name == utterance.speaker else str(rng.choice(["neutral", "sadness", "joy"]))
        )
        person = Person(
            LOOKS[name], felt, True, (x, y), scale, rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.0)
        )
        frames = len(mouths[name])
        most_rad = rng.uniform(0.3, 0.6) if kind == "turning" else rng.uniform(0, 0.15)
        turn = most_rad * np.sin(
            2 * np.pi * rng.uniform(0.2, 0.6) * np.arange(frames) / FRAME_RATE_HZ + rng.uniform(0, 6)
        )
        members.append(Member(name, person, mouths[name], turn))
    return sorted(members, key=lambda member: member.person.scale)


def _articulate(opening: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A mouth that follows the loudness, and moves by its own while it speaks."""
    own = np.convolve(rng.uniform(0, 1, len(opening) + 2), [0.25, 0.5, 0.25], mode="valid")
    return np.clip((1 - _OWN_SHARE) * opening + _OWN_SHARE * own * (opening > 0.15), 0, 1)


def _chew(frames: int, rng: np.random.Generator) -> np.ndarray:
    turns = np.cumsum(rng.uniform(1.0, 1.9) * (1 + 0.2 * rng.standard_normal(frames))) / FRAME_RATE_HZ
    return rng.uniform(0.4, 0.8) * (0.5 + 0.5 * np.sin(2 * np.pi * turns + rng.uniform(0, 6)))


def _draw(clip: GroupClip) -> Iterator[np.ndarray]:
    """RGB uint8 [360, 640, 3] of each frame."""
    rng = np.random.default_rng([22, clip.number, 1])
    size_px = (WIDTH_PX, HEIGHT_PX)
    places = {
        edge: cv2.resize(draw_place(rng, WIDTH_PX // 2, HEIGHT_PX // 2), size_px) for edge, _ in clip.shots
    }
    for number in range(clip.frames):
        edge, members = clip.shot(number)
        frame = places[edge]
        for member in members:
            expression = member.person.expression(number / FRAME_RATE_HZ, float(member.opening[number]))
            frame = draw_person(frame, member.person.look, expression, member.transform(number))
        yield frame


def _truth(clip: GroupClip) -> Iterator[tuple[object, ...]]:
    for number in range(clip.frames):
        for member in clip.shot(number)[1]:
            box: Box = face_box_px(member.transform(number))
            yield number, member.name, int(clip.speaks(member.name)), *(f"{edge:.1f}" for edge in box)


def _write_rows(path: Path, columns: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


if __name__ == "__main__":
    given = sys.argv[1:]
    count = int(given[1]) if given[1:] else 4 * len(KINDS)
    print(len(write_group(Path(given[0] if given else "group"), range(count))), "clips")
