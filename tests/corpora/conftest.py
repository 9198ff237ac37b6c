from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

SCRIPTS = ("01_1", "01_2", "01_3", "02_1", "02_2", "03_1", "03_2")


def release_dialogues() -> Iterator[tuple[int, str]]:
    """Session and name of IEMOCAP's 151 dialogues."""
    for session in range(1, 6):
        for half in "FM":
            improvised = [f"{number:02}" for number in range(1, 8 if session == 1 else 9)]
            if (session, half) == (3, "M"):
                improvised = ["01", "02", "03", "04", "05a", "05b", "06", "07", "08a", "08b"]
            scripts = [*SCRIPTS, "01_1b"] if (session, half) == (5, "M") else SCRIPTS
            for name in [*(f"impro{number}" for number in improvised), *(f"script{s}" for s in scripts)]:
                yield session, f"Ses0{session}{half}_{name}"


def write_dialogue(root: Path, session: int, dialogue: str, evaluation: str, transcription: str) -> None:
    for kind, text in (("EmoEvaluation", evaluation), ("transcriptions", transcription)):
        folder = root / f"Session{session}" / "dialog" / kind
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{dialogue}.txt").write_text(text, encoding="cp1252")


def write_video(path: Path, seconds: int = 4) -> None:
    """Two actors side by side: red on the left, blue on the right; MPEG-4 and PCM in an AVI, as IEMOCAP's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((48, 96, 3), np.uint8)
    pixels[:, :48, 0] = pixels[:, 48:, 2] = 255
    with av.open(path, "w") as container:
        picture = container.add_stream("mpeg4", rate=10, width=96, height=48, pix_fmt="yuv420p")
        sound = container.add_stream("pcm_s16le", rate=16000, layout="stereo")
        for _ in range(10 * seconds):
            container.mux(picture.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(picture.encode())
        tone = np.sin(np.arange(16000 * seconds) / 20) * 8000
        samples = np.repeat(tone.astype(np.int16), 2)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate = 16000
        container.mux([*sound.encode(frame), *sound.encode()])


@pytest.fixture
def iemocap_root(tmp_path: Path) -> Path:
    """IEMOCAP's release layout: one short evaluated line in each of the 151 dialogues, and one dialogue,
    Ses01F_impro05, with picture and sound and with the oddities of the real files."""
    root = tmp_path / "IEMOCAP_full_release"
    for session, dialogue in release_dialogues():
        id = f"{dialogue}_F000"
        write_dialogue(
            root,
            session,
            dialogue,
            "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
            f"[0.5000 - 1.5000]\t{id}\tneu\t[2.5000, 2.5000, 2.5000]\nC-E1:\tNeutral;\t()\n\n",
            f"{id} [000.5000-001.5000]: Excuse me.\n",
        )
    write_dialogue(
        root,
        1,
        "Ses01F_impro05",
        "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
        "[0.2000 - 1.0000]\tSes01F_impro05_F000\tang\t[1.5000, 4.0000, 4.5000]\n"
        "C-E1:\tAnger;\t()\nC-E3:\tAnger; Frustration;\t()\nC-F1:\tAnger;\t()\n"
        "A-E3:\tval 2; act 4; dom  4;\t()\nA-F1:\tval 1; act 5; dom  5;\t(threatening, belligerent)\n\n"
        "[1.0000 - 2.0000]\tSes01F_impro05_M000\txxx\t[3.0000, 3.0000, 3.0000]\n"
        "C-E1:\tHappiness;\t()\nC-E2:\tHappiness; Excited;\t()\nC-E4:\tNeutral;\t()\n"
        "C-M1:\tSurprise; Neutral;\t()\nA-E1:\tval 3; act 3; dom  3;\t()\n\n"
        "[2.0000 - 2.5000]\tSes01F_impro05_F001\txxx\t[3.0000, 3.0000, 3.0000]\n"
        "C-E1:\tAnger;\t()\nC-E2:\tSadness;\t()\nC-E4:\tNeutral;\t()\n\n"
        "[2.5000 - 3.0000]\tSes01F_impro05_M001\tsur\t[3.0000, 3.0000, 3.0000]\nC-E1:\tSurprise;\t()\n\n"
        "[3.0000 - 3.8000]\tSes01F_impro05_M002\tfru\t[2.0000, 3.0000, 3.0000]\nC-E1:\tFrustration;\t()\n",
        # M002 stands before F000 here, although it is said later.
        "Ses01F_impro05_M002 [003.0000-003.8000]: It’s not my fault.\n"
        "Ses01F_impro05_FXX0 [000.1000-000.2000]: Mm.\n"
        "M: Sir?\n"
        "Ses01F_impro05_F000 [000.2000-001.0000]: Where is my luggage?\n"
        "Ses01F_impro05_M000 [001.0000-002.0000]: Right here.\n"
        "Ses01F_impro05_F001 [002.0000-002.5000]: Oh.\n"
        "Ses01F_impro05_M001 [002.5000-003.0000]: Oh!\n",
    )
    dialog = root / "Session1" / "dialog"
    write_video(dialog / "avi" / "DivX" / "Ses01F_impro05.avi")
    wavs = root / "Session1" / "sentences" / "wav" / "Ses01F_impro05"
    wavs.mkdir(parents=True)
    with wave.open(str(wavs / "Ses01F_impro05_F000.wav"), "wb") as sentence:
        sentence.setparams((1, 2, 16000, 12800, "NONE", ""))
        sentence.writeframes(bytes(2 * 12800))
    for leftover in (
        dialog / "EmoEvaluation" / "._Ses01F_impro05.txt",
        dialog / "transcriptions" / "._Ses01F_impro05.txt",
        dialog / "avi" / "DivX" / "._Ses01F_impro05.avi",
        wavs / "._Ses01F_impro05_M000.wav",
        dialog / "EmoEvaluation" / "Categorical" / "Ses01F_impro05_e1_cat.txt",
    ):
        leftover.parent.mkdir(exist_ok=True)
        leftover.write_bytes(b"\0\5\26\7")
    return root
