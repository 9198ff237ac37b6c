from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.faces.speakers import find_speakers_of_dialogue
from pipeline.media.clips import Clip
from pipeline.media.decoding import Span
from pipeline.params import FacesParams
from pipeline.speakers.choice import LARGEST, LIPS, Choice, choose_speaker
from pipeline.speakers.loudness import FilmedClip
from pipeline.store.h5 import Arrays

PARAMS = FacesParams(min_face_size_px=40)
MIMING, CUT, OFF_SCREEN = (f"clip{number:03}.mp4" for number in (2, 4, 6))


def filmed(path: str, span: Span = Span(), crop: str = "") -> FilmedClip:  # noqa: B008 - it is immutable
    clip = Clip(path, "", "", span, crop)
    return FilmedClip(clip, clip)


@pytest.fixture(scope="module")
def found(group_root: Path) -> Arrays:
    return find_speakers_of_dialogue([filmed(path) for path in (MIMING, CUT, OFF_SCREEN)], group_root, PARAMS)


def of_clip(found: Arrays, place: int) -> tuple[Arrays, Choice]:
    mine = {
        name: found[name][found["face_utterance"] == place]
        for name in ("frame_index", "box_px", "track", "speaking")
    }
    return mine, choose_speaker(mine["frame_index"], mine["box_px"], mine["speaking"])


def share_right(found: Arrays, place: int, truth: Path) -> float:
    """The share of what counts that lies on the speaker's face."""
    mine, choice = of_clip(found, place)
    with truth.open(newline="") as file:
        speaker = {
            int(row["frame"]): [float(row[edge]) for edge in ("left", "top", "right", "bottom")]
            for row in csv.DictReader(file)
            if row["speaks"] == "1"
        }
    x, y = (mine["box_px"][:, :2] + mine["box_px"][:, 2:]).T / 2
    left, top, right, bottom = np.array([speaker[frame] for frame in mine["frame_index"].tolist()]).T
    inside = (left < x) & (x < right) & (top < y) & (y < bottom)
    return float(choice.weight[inside].sum() / choice.weight.sum())


def test_the_speaker_is_found_beside_one_who_says_another_line_and_over_a_cut(
    group_root: Path, found: Arrays
) -> None:
    for place, path in enumerate((MIMING, CUT)):
        assert of_clip(found, place)[1].evidence == LIPS
        assert share_right(found, place, (group_root / path).with_suffix(".csv")) > 0.9


def test_who_is_seen_while_another_is_heard_is_not_taken_for_the_speaker(found: Arrays) -> None:
    assert of_clip(found, 2)[1].evidence == LARGEST


def test_tracks_end_at_the_cut(found: Arrays) -> None:
    mine, _ = of_clip(found, 1)
    frames = [mine["frame_index"][mine["track"] == track] for track in np.unique(mine["track"])]
    starts = {int(each.min()) for each in frames if len(each) > 5}
    assert len(starts) == 2
    assert not any(each.min() < max(starts) <= each.max() for each in frames)


def test_a_result_does_not_depend_on_the_neighbours(group_root: Path, found: Arrays) -> None:
    alone = find_speakers_of_dialogue([filmed(CUT)], group_root, PARAMS)
    mine, _ = of_clip(found, 1)
    for name in ("track", "speaking"):
        np.testing.assert_array_equal(alone[name], mine[name])


def test_without_sound_nothing_is_said_and_faces_stay(group_root: Path, found: Arrays) -> None:
    clip = replace(filmed(MIMING), sound=Clip("none.wav", "", "no sound track"))
    silent = find_speakers_of_dialogue([clip], group_root, PARAMS)
    mine, _ = of_clip(found, 0)
    assert not silent["speaking"].any()
    np.testing.assert_array_equal(silent["box_px"], mine["box_px"])


def test_a_crop_leaves_the_speaker_of_its_half(group_root: Path, found: Arrays) -> None:
    mine, choice = of_clip(found, 0)
    best = mine["box_px"][choice.weight.argmax()]
    half = "left" if best[[0, 2]].mean() < 320 else "right"
    cropped = find_speakers_of_dialogue([filmed(MIMING, crop=half)], group_root, PARAMS)
    inside = cropped["box_px"][:, [0, 2]].mean(axis=1) < 320
    assert (inside == (half == "left")).all()
    assert cropped["speaking"].max() == pytest.approx(mine["speaking"].max(), abs=0.05)


def test_utterances_in_one_file_and_sound_in_another_are_measured_where_they_are(
    group_root: Path, found: Arrays, tmp_path: Path
) -> None:
    """A film whose utterance begins late, its sound cut out into a file of its own."""
    whole = of_clip(found, 0)[0]["speaking"].max()
    with av.open(group_root / MIMING) as film, av.open(tmp_path / "utterance.wav", "w") as wave:
        stream = wave.add_stream("pcm_s16le", rate=48_000, layout="stereo")
        resampler = av.AudioResampler("s16", "stereo", 48_000)
        for frame in film.decode(audio=0):
            if frame.time >= 0.4:
                for part in resampler.resample(frame):
                    part.pts = None
                    wave.mux(stream.encode(part))
        wave.mux(stream.encode())
    late = filmed(MIMING, Span(0.4))
    apart = replace(late, sound=Clip(str(tmp_path / "utterance.wav"), "", ""))
    for clip in (late, apart):
        speaking = find_speakers_of_dialogue([clip], group_root, PARAMS)["speaking"]
        assert speaking.max() == pytest.approx(whole, abs=0.15)
