from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.encoders.face_vectors import ClipFaces, embed_dialogue
from pipeline.encoders.speaker_vectors import TrackedFaces, count_evidence, embed_speakers
from pipeline.encoders.visual import finds_speakers
from pipeline.errors import UserError
from pipeline.params import Kind, VisualParams, read_params
from pipeline.store.h5 import Arrays

PARAMS = VisualParams(crop_size_px=32, pooling="speaker")


class MeanColour:
    """A face's mean red, green and blue."""

    dimension, description, settings, libraries = 3, "colours", {}, ()

    def embed(self, faces: np.ndarray) -> np.ndarray:
        return faces.mean(axis=(1, 2), dtype=np.float32)


ENCODER = MeanColour()


@pytest.fixture
def two(clip: ClipFaces) -> TrackedFaces:
    """Two frames, in each a smaller and a larger face."""
    boxes = clip.box_px[[0, 0, 1, 1]].copy()
    boxes[[0, 2], 2:] += 60
    faces = ClipFaces(clip.path, "", clip.frame_index[[0, 0, 1, 1]], boxes)
    return TrackedFaces(faces, np.array([0, 1, 0, 1]), np.array([0.1, 0.6, 0.1, 0.6], np.float32))


def embed(demo_root: Path, clip: TrackedFaces) -> Arrays:
    return embed_speakers([clip], demo_root, ENCODER, PARAMS)


def singles(demo_root: Path, clip: TrackedFaces) -> list[np.ndarray]:
    """The vector of each face alone."""
    return [
        embed_dialogue(
            [clip.faces.only(np.array([face]))], demo_root, ENCODER, VisualParams(crop_size_px=32)
        )["features"][0]
        for face in range(len(clip.track))
    ]


def test_the_speakers_face_counts_though_another_is_larger(demo_root: Path, two: TrackedFaces) -> None:
    result, each = embed(demo_root, two), singles(demo_root, two)
    np.testing.assert_allclose(result["features"][0], (each[1] + each[3]) / 2, rtol=1e-5)
    assert result["speaker_evidence"].tolist() == ["lips"]
    assert result["speaker_track"].tolist() == [1]


def test_the_surer_the_score_the_more_a_face_counts(demo_root: Path, two: TrackedFaces) -> None:
    two = replace(two, track=np.arange(4), speaking=np.array([0.3, 0, 0, 0.9], np.float32))
    result, each = embed(demo_root, two), singles(demo_root, two)
    np.testing.assert_allclose(result["features"][0], each[0] / 4 + 3 * each[3] / 4, rtol=1e-5)
    assert result["speaker_track"].tolist() == [3]


def test_where_no_lips_move_with_the_sound_it_is_pooling_largest_and_says_so(
    demo_root: Path, two: TrackedFaces
) -> None:
    two = replace(two, speaking=np.full(4, 0.1, np.float32))
    result = embed(demo_root, two)
    largest = embed_dialogue(
        [two.faces], demo_root, ENCODER, VisualParams(crop_size_px=32, pooling="largest")
    )
    np.testing.assert_array_equal(result["features"], largest["features"])
    assert result["speaker_evidence"].tolist() == ["largest"]
    assert result["speaker_track"].tolist() == [0]
    assert list(count_evidence(result).values()) == [0, 1]


def test_a_clip_without_faces_has_its_reason_and_no_evidence(demo_root: Path, two: TrackedFaces) -> None:
    none = np.empty(0, int)
    faceless = TrackedFaces(replace(two.faces.only(none), problem="no face found"), none, none.astype("f4"))
    result = embed_speakers([faceless, two], demo_root, ENCODER, PARAMS)
    assert result["reason"].tolist() == ["no face found", ""]
    assert result["speaker_evidence"].tolist() == ["", "lips"]
    assert result["speaker_track"].tolist() == [-1, 1]
    np.testing.assert_array_equal(result["features"][1], embed(demo_root, two)["features"][0])


def test_numbers_that_are_not_finite_are_an_error_that_names_the_utterance(
    demo_root: Path, two: TrackedFaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MeanColour, "embed", lambda self, faces: np.full((len(faces), 3), np.nan, np.float32))
    named = replace(two, faces=replace(two.faces, utterance="dia0_utt1"))
    with pytest.raises(UserError, match="dia0_utt1: the visual encoder gives numbers that are not finite"):
        embed(demo_root, named)


def test_where_no_lips_tell_the_face_that_goes_with_the_name_counts(
    demo_root: Path, two: TrackedFaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each clip shows two people, of whom lips say in one who Ann is."""
    embeddings = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    monkeypatch.setattr(MeanColour, "embed", lambda self, faces: embeddings)
    silent = replace(two, speaking=np.zeros(4, np.float32), name="Ann")
    clips = [silent, replace(two, name="Ann"), replace(silent, name="Bob")]
    params = PARAMS.model_copy(update={"who_is_who": True})
    result = embed_speakers(clips, demo_root, ENCODER, params)
    assert result["speaker_evidence"].tolist() == ["name", "lips", "largest"]
    assert result["speaker_track"].tolist() == [1, 1, 0]
    assert result["features"].tolist() == [[0, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert list(count_evidence(result).values()) == [1, 1, 1]


@pytest.mark.parametrize(("kind", "refused"), [("resnet", True), ("facenet", False)])
def test_who_is_who_needs_an_encoder_that_tells_people_apart(kind: str, refused: bool) -> None:
    encoder = Kind.model_validate({"kind": kind, "weights": "some/weights"})
    visual = VisualParams(encoder=encoder, pooling="speaker", who_is_who=True)
    demo = read_params(Path(__file__).parents[2] / "params.yaml").corpus("demo")
    params = demo.model_copy(update={"visual": visual})
    if not refused:
        assert finds_speakers("demo", params)
        return
    with pytest.raises(
        UserError, match=r"corpora\.demo\.visual\.who_is_who needs an encoder .* resnet was not"
    ):
        finds_speakers("demo", params)
