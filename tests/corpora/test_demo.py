"""The demo corpus: MELD's layout, the same bytes every time, and faces and voices that can be found."""

from __future__ import annotations

import csv
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from facenet_pytorch import MTCNN

from pipeline.corpora.demo.corpus import CLIP_FOLDERS, DemoCorpus, build_demo_corpus
from pipeline.corpora.demo.face import EXPRESSIONS, FACE_BOX_PX, draw_face, photograph
from pipeline.corpora.demo.scene import Box, face_boxes_px
from pipeline.corpora.demo.script import FAULTS, LINES, SPLITS, DemoUtterance, fault_places, write_script
from pipeline.corpora.demo.voice import speak
from pipeline.errors import UserError
from pipeline.params import DemoParams

# Every training utterance goes wrong in its own way; the other splits are sound.
SMALL = DemoParams(train_dialogues=3, dev_dialogues=1, test_dialogues=1, utterances_per_dialogue=2)
MELD_HEADER = (
    "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoCorpus]:
    root = tmp_path_factory.mktemp("raw") / "demo"
    return root, build_demo_corpus(SMALL, root, workers=2)


@pytest.fixture(scope="module")
def root(built: tuple[Path, DemoCorpus]) -> Path:
    return built[0]


@pytest.fixture(scope="module")
def detector() -> MTCNN:
    torch.set_num_threads(1)
    return MTCNN(keep_all=True, min_face_size=40)


def script_of(*, fault: bool) -> list[DemoUtterance]:
    return [u for u in write_script(SMALL) if bool(u.fault) is fault]


def clip_path(root: Path, utterance: DemoUtterance) -> Path:
    return root / CLIP_FOLDERS[utterance.split] / utterance.clip_name


def faulty(fault: str) -> DemoUtterance:
    return next(u for u in write_script(SMALL) if u.fault == fault)


def read_rows(root: Path, split: str) -> list[dict[str, str]]:
    with (root / f"{split}_sent_emo.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def read_audio(path: Path) -> np.ndarray:
    """float32 [channels, samples]"""
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def median_pitch_hz(sound: np.ndarray, rate_hz: int = 48_000) -> float:
    """Median over voiced 40 ms frames of the autocorrelation's highest peak in 70-600 Hz."""
    size, shortest, longest = rate_hz // 25, rate_hz // 600, rate_hz // 70
    pitches = []
    for start in range(0, len(sound) - size, size // 2):
        frame = sound[start : start + size]
        correlation = np.correlate(frame, frame, "full")[size - 1 :]
        lag = shortest + int(np.argmax(correlation[shortest:longest]))
        if correlation[lag] > 0.5 * correlation[0] > 1e-4:
            pitches.append(rate_hz / lag)
    return float(np.median(pitches))


def clock_s(text: str) -> float:
    hours, minutes, seconds = text.replace(",", ".").split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def test_the_layout_and_the_columns_are_melds(root: Path) -> None:
    assert {path.name for path in root.iterdir()} == {
        "train_sent_emo.csv", "dev_sent_emo.csv", "test_sent_emo.csv",
        "train_splits", "dev_splits_complete", "output_repeated_splits_test",
    }  # fmt: skip
    for split in SPLITS:
        assert (root / f"{split}_sent_emo.csv").read_text(encoding="utf-8").splitlines()[0] == MELD_HEADER
        annotated = {f"dia{r['Dialogue_ID']}_utt{r['Utterance_ID']}.mp4" for r in read_rows(root, split)}
        clips = {path.name for path in (root / CLIP_FOLDERS[split]).iterdir()}
        assert annotated - clips == ({faulty("missing").clip_name} if split == "train" else set())
        assert clips <= annotated


def test_the_annotations_are_the_script(root: Path) -> None:
    for split in SPLITS:
        expected = [
            (u.text, u.speaker, u.emotion, str(u.dialogue), str(u.position))
            for u in write_script(SMALL)
            if u.split == split
        ]
        columns = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
        assert [tuple(row[c] for c in columns) for row in read_rows(root, split)] == expected


def test_any_number_of_workers_makes_the_same_bytes(root: Path, tmp_path: Path) -> None:
    build_demo_corpus(SMALL, tmp_path / "demo", workers=1)

    def contents(folder: Path) -> dict[Path, bytes]:
        return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    first, second = contents(root), contents(tmp_path / "demo")
    assert first.keys() == second.keys()
    assert [path for path in first if first[path] != second[path]] == []


def test_the_summary_counts_what_was_made(built: tuple[Path, DemoCorpus]) -> None:
    root, made = built
    rows = [row for split in SPLITS for row in read_rows(root, split)]
    assert (made.utterances, made.dialogues) == (len(rows), 5)
    assert made.video_s == pytest.approx(sum(clock_s(r["EndTime"]) - clock_s(r["StartTime"]) for r in rows))


@pytest.mark.parametrize("utterance", script_of(fault=False), ids=lambda u: f"{u.split}-{u.clip_name}")
def test_picture_sound_and_annotation_are_equally_long(root: Path, utterance: DemoUtterance) -> None:
    path = clip_path(root, utterance)
    picture_s = len(read_frames(path)) / 25
    row = next(r for r in read_rows(root, utterance.split) if r["Utterance"] == utterance.text)
    assert clock_s(row["EndTime"]) - clock_s(row["StartTime"]) == pytest.approx(picture_s)
    # AAC comes in blocks of 1024 samples.
    assert read_audio(path).shape[1] / 48_000 == pytest.approx(picture_s, abs=1024 / 48_000)
    assert 1.2 <= picture_s <= 3.5


def test_clips_are_h264_and_stereo_aac(root: Path) -> None:
    with av.open(str(clip_path(root, script_of(fault=False)[0]))) as container:
        (video,), (audio,) = container.streams.video, container.streams.audio
        picture = (video.codec_context.name, video.width, video.height, video.average_rate)
        assert picture == ("h264", 320, 240, 25)
        assert (audio.codec_context.name, audio.rate, audio.layout.name) == ("aac", 48_000, "stereo")


@pytest.mark.parametrize("speaker", ["Alma", "Bruno"])
def test_anger_is_louder_and_higher_than_sadness(speaker: str) -> None:
    angry, sad = (speak("I put the keys on the kitchen table.", speaker, e) for e in ("anger", "sadness"))
    assert np.sqrt(np.mean(angry**2)) > 2 * np.sqrt(np.mean(sad**2))
    assert median_pitch_hz(angry) > 1.2 * median_pitch_hz(sad)
    assert len(angry) < len(sad)


def test_every_two_emotions_look_different() -> None:
    photo, smooth_photo = photograph()
    left, top, right, bottom = (int(edge) for edge in FACE_BOX_PX)
    faces = {
        emotion: draw_face(photo, smooth_photo, expression)[top:bottom, left:right].astype(float)
        for emotion, expression in EXPRESSIONS.items()
    }
    differences = {pair: np.abs(faces[pair[0]] - faces[pair[1]]).mean() for pair in combinations(faces, 2)}
    assert min(differences.values()) > 4, differences


@pytest.mark.parametrize("utterance", script_of(fault=False), ids=lambda u: f"{u.split}-{u.clip_name}")
def test_a_detector_finds_the_face_where_it_was_drawn(
    root: Path, detector: MTCNN, utterance: DemoUtterance
) -> None:
    frames = read_frames(clip_path(root, utterance))
    for index in (0, len(frames) // 2, len(frames) - 1):
        found, _ = detector.detect(frames[index])
        (drawn,) = face_boxes_px(utterance, index)
        assert found is not None
        assert max(overlap(drawn, box) for box in found) > 0.6


def test_the_clip_with_two_faces_has_two(root: Path, detector: MTCNN) -> None:
    utterance = faulty("two_faces")
    found, _ = detector.detect(read_frames(clip_path(root, utterance))[10])
    drawn = face_boxes_px(utterance, 10)
    assert len(drawn) == len(found) == 2
    assert all(max(overlap(d, f) for f in found) > 0.6 for d in drawn)


def test_the_clip_without_a_face_has_none(root: Path, detector: MTCNN) -> None:
    utterance = faulty("no_face")
    found, _ = detector.detect(read_frames(clip_path(root, utterance))[10])
    assert found is None
    assert face_boxes_px(utterance, 10) == []


def test_the_silent_clip_has_digital_silence(root: Path) -> None:
    sound = read_audio(clip_path(root, faulty("silent")))
    assert sound.shape[1] > 48_000
    assert not sound.any()


def test_the_clip_without_a_sound_track_has_a_picture_only(root: Path) -> None:
    path = clip_path(root, faulty("no_sound_track"))
    with av.open(str(path)) as container:
        assert len(container.streams.audio) == 0
    assert len(read_frames(path)) > 25


def test_the_truncated_clip_cannot_be_decoded(root: Path) -> None:
    path = clip_path(root, faulty("truncated"))
    assert path.stat().st_size > 1000
    with pytest.raises(av.error.InvalidDataError):
        read_frames(path)


def test_a_killed_build_leaves_no_corpus_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    params = DemoParams(
        train_dialogues=1, dev_dialogues=1, test_dialogues=1, utterances_per_dialogue=2, faults=False
    )
    code = (
        "from pathlib import Path; from pipeline.corpora.demo.corpus import build_demo_corpus; "
        "from pipeline.params import DemoParams; "
        f"build_demo_corpus(DemoParams(**{params.model_dump()!r}), Path({str(tmp_path / 'demo')!r}))"
    )
    project = Path(__file__).parents[1]
    build = subprocess.Popen([sys.executable, "-c", code], cwd=project, stderr=subprocess.DEVNULL)
    while build.poll() is None and not list(tmp_path.rglob("*.mp4")):
        time.sleep(0.01)
    build.kill()
    build.wait()
    assert list(tmp_path.rglob("*.mp4"))
    assert not (tmp_path / "demo").exists()

    build_demo_corpus(params, tmp_path / "demo")
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    assert len(list(tmp_path.rglob("*.mp4"))) == 6


def test_every_split_of_the_default_corpus_has_all_seven_emotions() -> None:
    script = write_script(DemoParams())
    assert len(script) == 80
    for split in SPLITS:
        assert {u.emotion for u in script if u.split == split} == set(LINES)


def test_no_line_of_the_default_corpus_is_said_twice() -> None:
    texts = [u.text for u in write_script(DemoParams())]
    assert len(set(texts)) == len(texts)


def test_every_dialogue_has_two_to_four_speakers_who_talk_to_somebody_else() -> None:
    for seed in range(20):
        script = write_script(DemoParams(seed=seed))
        speakers: dict[tuple[str, int], set[str]] = {}
        for u in script:
            speakers.setdefault((u.split, u.dialogue), set()).add(u.speaker)
        assert all(2 <= len(names) <= 4 for names in speakers.values())
        assert all(u.speaker != u.listener for u in script)


def test_another_seed_makes_another_script() -> None:
    assert [u.text for u in write_script(DemoParams())] != [u.text for u in write_script(DemoParams(seed=1))]


def test_each_fault_is_in_a_training_dialogue_of_its_own() -> None:
    places = fault_places(DemoParams())
    assert sorted(places.values()) == sorted(FAULTS)
    assert len({dialogue for dialogue, _ in places}) == len(FAULTS)
    faults = {(u.split, u.dialogue, u.position): u.fault for u in write_script(DemoParams()) if u.fault}
    assert faults == {("train", *place): fault for place, fault in places.items()}


def test_faults_can_be_left_out() -> None:
    assert all(u.fault is None for u in write_script(DemoParams(faults=False)))


def test_a_training_split_too_small_for_the_faults_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"demo\.faults"):
        build_demo_corpus(DemoParams(train_dialogues=2, utterances_per_dialogue=2), tmp_path / "demo")
    assert list(tmp_path.iterdir()) == []
