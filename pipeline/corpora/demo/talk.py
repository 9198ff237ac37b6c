"""A film of one talk in the demo corpus's manner, with subtitles.

    python -m pipeline.corpora.demo.talk FOLDER

Unlike the corpus it is one file, as recordings of one's own are; nobody has trained on its lines.
"""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path

import numpy as np

from pipeline.corpora.demo.corpus import write_mp4
from pipeline.corpora.demo.scene import draw_frames
from pipeline.corpora.demo.script import FRAME_RATE_HZ, write_script
from pipeline.corpora.demo.voice import sound_track
from pipeline.params import DemoParams

SEED = 77
"""Other than the corpus's, so that other lines are said."""


def write_talk(folder: Path, utterances: int = 6) -> tuple[Path, Path]:
    """Write talk.mp4 and talk.vtt; their paths."""
    params = DemoParams(
        seed=SEED,
        train_dialogues=1,
        dev_dialogues=1,
        test_dialogues=1,
        utterances_per_dialogue=utterances,
        faults=False,
    )
    script = [line for line in write_script(params) if line.split == "test"]
    tracks = [sound_track(line) for line in script]
    frames = (draw_frames(line, opening) for line, (_, opening) in zip(script, tracks, strict=True))
    film, subtitles = folder / "talk.mp4", folder / "talk.vtt"
    folder.mkdir(parents=True, exist_ok=True)
    write_mp4(film, chain.from_iterable(frames), np.concatenate([sound for sound, _ in tracks]))
    cues, start = ["WEBVTT"], 0
    for line, (_, opening) in zip(script, tracks, strict=True):
        end = start + len(opening)
        cues.append(f"{_clock(start)} --> {_clock(end)}\n<v {line.speaker}>{line.text}</v>")
        start = end
    subtitles.write_text("\n\n".join(cues) + "\n", encoding="utf-8")
    return film, subtitles


def _clock(frame: int) -> str:
    ms = 1000 * frame // FRAME_RATE_HZ
    return f"00:{ms // 60_000:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"


if __name__ == "__main__":
    print(*write_talk(Path(sys.argv[1] if len(sys.argv) > 1 else "talk")), sep="\n")
