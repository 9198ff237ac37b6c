"""Who speaks among several faces: how often the face that is chosen is the speaker's, and what it costs.

    python -m benchmarks.speaker [clips]

Clips of two or three people with the truth beside them (pipeline/corpora/demo/group.py), a seventh of them
with a speaker who is not seen.  An utterance is right where more than half of what is pooled lies on the
speaker's face.  Beside it: the largest face, one by chance, and the time of ``faces`` with and without.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.measure import machine, time_in_turn
from benchmarks.portrait import FRAMES, HEIGHT_PX, WIDTH_PX, portrait_frames
from pipeline.corpora.demo.corpus import write_mp4
from pipeline.corpora.demo.group import KINDS, GroupClip, write_group
from pipeline.corpora.demo.voice import SAMPLES_PER_FRAME
from pipeline.faces.dialogues import find_faces_of_dialogue
from pipeline.faces.speakers import find_speakers_of_dialogue
from pipeline.media.clips import Clip
from pipeline.params import FacesParams
from pipeline.speakers.choice import LIPS, choose_speaker, largest_faces, only
from pipeline.speakers.loudness import FilmedClip
from pipeline.store.h5 import Arrays

PARAMS = FacesParams(min_face_size_px=30)
UNSEEN = "off_screen"


def main(clips: int) -> None:
    print(f"{clips} clips of 640 x 360, one thread; {machine()}")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        made = write_group(root, range(clips))
        found = find_speakers_of_dialogue([filmed(f"{clip.name}.mp4") for clip in made], root, PARAMS)
        measure_accuracy(made, found, root)
        measure_time(root, made)


def filmed(path: str) -> FilmedClip:
    """A file with picture and sound."""
    clip = Clip(path, "", "")
    return FilmedClip(clip, clip)


def measure_accuracy(clips: list[GroupClip], found: Arrays, root: Path) -> None:
    """Print the share of utterances with the right face by what the others do."""
    right: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for place, clip in enumerate(clips):
        mine = found["face_utterance"] == place
        frame, box = found["frame_index"][mine], found["box_px"][mine]
        choice = choose_speaker(frame, box, found["speaking"][mine])
        right["found by lips"][clip.kind].append(choice.evidence == LIPS)
        if clip.kind == UNSEEN:
            continue
        speaks = on_speaker(frame, box, root / f"{clip.name}.csv")
        for name, weight in (
            ("speaker", choice.weight),
            ("largest", only(largest_faces(frame, box), len(box))),
        ):
            right[name][clip.kind].append(weight[speaks].sum() > weight.sum() / 2)
        if choice.evidence == LIPS:
            by_lips = choice.weight[speaks].sum() > choice.weight.sum() / 2
            right["right where found by lips"][clip.kind].append(by_lips)
        right["chance"][clip.kind].append(float(np.mean([1 / len(clip.shot(n)[1]) for n in set(frame)])))
    seen = [kind for kind in KINDS if kind != UNSEEN]
    for name, by_kind in right.items():
        values = [value for kind in seen for value in by_kind[kind]]
        kinds = ", ".join(f"{kind} {np.mean(by_kind[kind]):.0%}" for kind in KINDS if by_kind[kind])
        print(f"{name}: {np.mean(values):.1%} of {len(values)} whose speaker is seen ({kinds})")


def on_speaker(frame: np.ndarray, box_px: np.ndarray, truth: Path) -> np.ndarray:
    """Of each face, whether its middle lies in the speaker's."""
    with truth.open(newline="") as file:
        speaker = {
            int(row["frame"]): [float(row[edge]) for edge in ("left", "top", "right", "bottom")]
            for row in csv.DictReader(file)
            if row["speaks"] == "1"
        }
    x, y = (box_px[:, :2] + box_px[:, 2:]).T / 2
    left, top, right, bottom = np.array([speaker[number] for number in frame.tolist()]).T
    inside: np.ndarray = (left < x) & (x < right) & (top < y) & (y < bottom)
    return inside


def measure_time(root: Path, clips: list[GroupClip]) -> None:
    """Print the time of the stage with the speaker as a ratio to that without, on two kinds of clips."""
    sound = np.resize(clips[0].sound, (FRAMES * SAMPLES_PER_FRAME, 2))
    write_mp4(root / "portrait.mp4", portrait_frames(FRAMES), sound, (WIDTH_PX, HEIGHT_PX))
    films = {
        f"a clip of {FRAMES} frames in 720p with one face": "portrait.mp4",
        f"one of {clips[0].frames} in 640 x 360 with {len(clips[0].shot(0)[1])}": f"{clips[0].name}.mp4",
    }
    for name, path in films.items():
        clip = filmed(path)
        seconds = time_in_turn(
            5,
            time.process_time,
            with_speaker=partial(find_speakers_of_dialogue, [clip], root, PARAMS),
            without=partial(find_faces_of_dialogue, [clip.image], root, PARAMS),
        )
        ratio = seconds["with_speaker"] / seconds["without"]
        print(f"{name}: {seconds['with_speaker']:.2f} s with the speaker, {ratio:.2f} times faces alone")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 12 * len(KINDS))
