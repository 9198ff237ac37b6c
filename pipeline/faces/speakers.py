"""Faces of a dialogue as in ``dialogues``, and of each how sure it is that its mouth makes the sound.

The frames between those that are sampled are decoded once more, because where mouths are is known only when
faces are found; they are not kept, and neither is sound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline import runtime
from pipeline.faces.dialogues import NO_CLIPS, find_faces_of_dialogue
from pipeline.media.clips import read_by_file
from pipeline.media.decoding import MediaError
from pipeline.media.luma import luma_at
from pipeline.params import FacesParams
from pipeline.speakers.loudness import FilmedClip, Loudness, iterate_loudness
from pipeline.speakers.mouths import LEAST_DETECTIONS, MouthMotion
from pipeline.speakers.speaking import score
from pipeline.store.h5 import Arrays

NO_SPEAKERS: Arrays = {**NO_CLIPS, "speaking": np.empty(0, np.float32)}


@dataclass
class _Mouths:
    """The mouths of a clip that may speak."""

    path: str
    problem: str
    first: int
    last: int
    by_track: dict[int, MouthMotion]


def find_speakers_of_dialogue(clips: Sequence[FilmedClip], root: Path, params: FacesParams) -> Arrays:
    """``find_faces_of_dialogue``, and ``speaking`` float32 [F]: the score of each face's track, 0 to 1.

    It is 0 where nothing can be said: no sound, a track too short, frames that cannot be decoded.
    """
    found = find_faces_of_dialogue([clip.image for clip in clips], root, params)
    loudness: dict[int, Loudness] = {
        place: heard for place, heard in iterate_loudness(clips, root) if not isinstance(heard, MediaError)
    }
    mouths = [_mouths(clip, found, place, place in loudness) for place, clip in enumerate(clips)]

    def read(path: str, places: Sequence[int]) -> Iterator[tuple[int, _Mouths]]:
        return _watch(root / path, [mouths[place] for place in places])

    speaking = np.zeros(len(found["track"]), np.float32)
    for place, seen in read_by_file(mouths, read, runtime.decode_threads()):
        if isinstance(seen, MediaError):
            continue
        for track, mouth in seen.by_track.items():
            faces = (found["face_utterance"] == place) & (found["track"] == track)
            speaking[faces] = score(mouth.times_s, mouth.motion, loudness[place])
        seen.by_track.clear()
    return found | {"speaking": speaking}


def _mouths(clip: FilmedClip, found: Arrays, place: int, heard: bool) -> _Mouths:
    """The mouths of a clip, before anything is seen of them."""
    of_clip = np.flatnonzero(found["face_utterance"] == place)
    track, frame = found["track"][of_clip], found["frame_index"][of_clip]
    by_track = {
        int(number): MouthMotion(frame[track == number], found["landmarks_px"][of_clip[track == number]])
        for number, count in zip(*np.unique(track, return_counts=True), strict=True)
        if count >= LEAST_DETECTIONS
    }
    usable = heard and bool(by_track)
    first, last = (int(frame.min()), int(frame.max())) if usable else (0, 0)
    return _Mouths(clip.image.path, "" if usable else "nothing to watch", first, last, by_track)


def _watch(path: Path, clips: Sequence[_Mouths]) -> Iterator[tuple[int, _Mouths]]:
    """(place in ``clips``, its mouths) as soon as the last of their frames is seen, from one pass."""
    waiting = dict(enumerate(clips))
    numbers = {number for clip in clips for number in range(clip.first, clip.last + 1)}
    for frame in luma_at(path, numbers):
        for place, clip in list(waiting.items()):
            if frame.number < clip.first:
                continue
            for mouth in clip.by_track.values():
                mouth.see(frame)
            if frame.number == clip.last:
                yield place, waiting.pop(place)
