from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.corpora.demo.scene import face_boxes_px
from pipeline.corpora.demo.script import write_script
from pipeline.faces.dialogues import find_faces_of_dialogue
from pipeline.manifest import Medium
from pipeline.media import frames
from pipeline.media.clips import image_clip
from pipeline.media.frames import sample_indices
from pipeline.params import DemoParams, FacesParams
from pipeline.store.h5 import Arrays
from tests.media.broken import write_liars

PARAMS = FacesParams(min_face_size_px=40)


def find_faces(media: Sequence[Medium], root: Path) -> Arrays:
    return find_faces_of_dialogue([image_clip(medium) for medium in media], root, PARAMS)


def test_faces_are_found_where_they_were_drawn_with_landmarks_inside(
    demo_root: Path, sound_clip: Medium
) -> None:
    faces = find_faces([sound_clip], demo_root)
    assert faces["frames_sampled"].tolist() == [20]
    assert set(faces["frame_index"].tolist()) <= set(sample_indices(sound_clip.frame_count, 20))
    assert len(set(faces["frame_index"].tolist())) >= 15
    assert (faces["probability"] > 0.7).all()
    left, top, right, bottom = faces["box_px"].T
    x, y = faces["landmarks_px"][..., 0].T, faces["landmarks_px"][..., 1].T
    assert ((left < x) & (x < right) & (top < y) & (y < bottom)).all()
    assert (right - left).mean() > 40


def test_faces_come_frame_by_frame_and_largest_first(demo_root: Path, demo_media: dict[str, Medium]) -> None:
    two = next(u for u in write_script(small()) if u.fault == "two_faces")
    clip = demo_media[f"{two.split}_dia{two.dialogue}_utt{two.position}"]
    faces = find_faces([clip], demo_root)
    assert (np.diff(faces["frame_index"]) >= 0).all()
    counts = np.unique(faces["frame_index"], return_counts=True)[1]
    assert np.median(counts) == 2
    width, height = (faces["box_px"][:, 2:] - faces["box_px"][:, :2]).T
    for number in np.unique(faces["frame_index"]):
        assert (np.diff((width * height)[faces["frame_index"] == number]) <= 0).all()


def test_a_clip_that_cannot_be_used_costs_only_itself(demo_root: Path, demo_media: dict[str, Medium]) -> None:
    faults = {u.fault: f"{u.split}_dia{u.dialogue}_utt{u.position}" for u in write_script(small()) if u.fault}
    clips = [demo_media[faults[fault]] for fault in ("truncated", "missing", "no_face")] + [
        demo_media["dev_dia0_utt0"]
    ]
    faces = find_faces(clips, demo_root)
    truncated, missing, no_face, sound = faces["reason"].tolist()
    assert truncated.startswith("cannot be opened")
    assert (missing, no_face, sound) == ("clip missing", "no face found", "")
    assert set(faces["face_utterance"].tolist()) == {3}
    assert faces["frames_sampled"].tolist() == [0, 0, 20, 20]


def test_files_that_lie_cost_their_neighbours_no_face(
    demo_root: Path, sound_clip: Medium, tmp_path: Path
) -> None:
    alone = find_faces([sound_clip], demo_root)
    liars = [replace(sound_clip, path=str(path)) for path in write_liars(tmp_path).values()]
    beside = find_faces([*liars, sound_clip], demo_root)
    assert all(beside["reason"][:-1]), beside["reason"]
    assert beside["reason"][-1] == ""
    np.testing.assert_array_equal(beside["box_px"], alone["box_px"])


def test_a_result_does_not_depend_on_the_neighbours(demo_root: Path, demo_media: dict[str, Medium]) -> None:
    one, other = demo_media["dev_dia0_utt0"], demo_media["dev_dia0_utt1"]
    alone = find_faces([one], demo_root)
    beside = find_faces([other, one], demo_root)
    mine = beside["face_utterance"] == 1
    for name in ("frame_index", "box_px", "probability", "landmarks_px"):
        np.testing.assert_array_equal(beside[name][mine], alone[name])


def test_a_crop_hides_the_other_half_and_keeps_the_frames_coordinates(
    demo_root: Path, demo_media: dict[str, Medium]
) -> None:
    two = next(u for u in write_script(small()) if u.fault == "two_faces")
    clip = demo_media[f"{two.split}_dia{two.dialogue}_utt{two.position}"]
    for crop, inside in (("left", lambda x: x < 160), ("0.5 0 1 1", lambda x: x > 160)):
        boxes = find_faces([replace(clip, crop=crop)], demo_root)["box_px"]
        assert len(boxes) >= 15
        assert inside((boxes[:, 0] + boxes[:, 2]) / 2).all()


def test_utterances_that_share_a_file_get_their_own_frames(demo_root: Path, sound_clip: Medium) -> None:
    half_s = sound_clip.duration_s / 2
    parts = [
        replace(sound_clip, start_s=0.0, end_s=half_s), replace(sound_clip, start_s=half_s, end_s=None),
        replace(sound_clip, start_s=90.0, end_s=91.0),
    ]  # fmt: skip
    faces = find_faces(parts, demo_root)
    middle = round(half_s * sound_clip.frame_rate_hz)
    assert faces["frame_index"][faces["face_utterance"] == 0].max() < middle
    assert faces["frame_index"][faces["face_utterance"] == 1].min() >= middle
    assert faces["reason"].tolist() == ["", "", "no picture within the utterance"]


def test_a_file_is_decoded_once_for_all_its_utterances(
    demo_root: Path, sound_clip: Medium, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode, decoded = frames._decode, []
    monkeypatch.setattr(frames, "_decode", lambda path: decoded.append(path) or decode(path))
    parts = [replace(sound_clip, start_s=start_s, end_s=start_s + 0.3) for start_s in (0.0, 0.4, 0.8)]
    faces = find_faces(parts, demo_root)
    assert set(faces["face_utterance"].tolist()) == {0, 1, 2}
    assert decoded == [demo_root / sound_clip.path]


def test_the_faces_drawn_in_two_face_clips_are_found(demo_root: Path, demo_media: dict[str, Medium]) -> None:
    two = next(u for u in write_script(small()) if u.fault == "two_faces")
    clip = demo_media[f"{two.split}_dia{two.dialogue}_utt{two.position}"]
    faces = find_faces([clip], demo_root)
    first = faces["frame_index"][0]
    found = faces["box_px"][faces["frame_index"] == first]
    for box in face_boxes_px(two, first):
        centre_x, centre_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        assert any(f[0] < centre_x < f[2] and f[1] < centre_y < f[3] for f in found)


def small() -> DemoParams:
    return DemoParams(train_dialogues=3, dev_dialogues=1, test_dialogues=1, utterances_per_dialogue=2)
