from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import copy

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from pipeline import runtime
from pipeline.encoders.face_vectors import ClipFaces, crop_face, cut_faces, embed_dialogue
from pipeline.encoders.visual import VisualEncoder
from pipeline.encoders.visual.resnet import Params, find_encoder
from pipeline.encoders.weights import find_local
from pipeline.errors import UserError
from pipeline.params import VisualParams
from pipeline.store.code import reachable
from pipeline.work.extraction import Item, extract

KEY = "corpora.demo.visual.encoder"
PARAMS = VisualParams(crop_size_px=64)


@pytest.fixture
def encoder(weights: Path) -> VisualEncoder:
    params = Params(weights=str(weights), architecture="resnet50")
    return find_encoder(KEY, params, find_local(KEY, str(weights)))


def embed(
    demo_root: Path, clip: ClipFaces, encoder: VisualEncoder, params: VisualParams = PARAMS
) -> np.ndarray:
    result = embed_dialogue([clip], demo_root, encoder, params)
    assert result["reason"].tolist() == [""]
    return result["features"][0]


def test_a_crop_is_centred_on_its_face_and_squared_by_the_longer_side() -> None:
    image = np.zeros((100, 120, 3), np.uint8)
    image[40:60, 50:60] = 255
    crop = crop_face(image, np.array([50, 40, 60, 60], np.float32), margin=0.5, size_px=40)
    assert crop.shape == (40, 40, 3)
    bright = np.argwhere(crop[..., 0] > 127)
    assert bright.min(axis=0).tolist() == [10, 15]
    assert bright.max(axis=0).tolist() == [29, 24]


def test_a_crop_beyond_the_image_repeats_its_edge() -> None:
    image = np.full((50, 50, 3), 90, np.uint8)
    crop = crop_face(image, np.array([-10, -10, 20, 20], np.float32), margin=0.2, size_px=32)
    assert (crop == 90).all()


def test_a_large_face_is_shrunk_with_antialiasing() -> None:
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = crop_face(stripes, np.array([0, 0, 400, 400], np.float32), margin=0, size_px=40)
    assert np.abs(crop[:, 2:-2].astype(int) - 127).max() < 16


def test_pooling_is_over_faces_over_frames_or_over_the_largest(demo_root: Path, clip: ClipFaces) -> None:
    encoder = find_encoder(KEY, Params(weights="untrained"), None)
    # Two faces in the first frame, the larger one last; one in the second.
    rows, boxes = clip.frame_index[[0, 0, 1]], clip.box_px[[0, 2, 1]]
    boxes[1, 2:] += 20
    singles = [
        embed(demo_root, ClipFaces(clip.path, "", rows[i : i + 1], boxes[i : i + 1]), encoder)
        for i in range(3)
    ]
    expected = {
        "faces": np.mean(singles, axis=0),
        "frames": (np.mean(singles[:2], axis=0) + singles[2]) / 2,
        "largest": (singles[1] + singles[2]) / 2,
    }
    for pooling, vector in expected.items():
        params = PARAMS.model_copy(update={"pooling": pooling})
        pooled = embed(demo_root, ClipFaces(clip.path, "", rows, boxes), encoder, params)
        assert pooled.shape == (1000,)
        np.testing.assert_allclose(pooled, vector, rtol=1e-3, atol=1e-5 * np.abs(vector).max())


def test_a_clip_without_faces_keeps_its_reason_and_its_neighbours_their_vectors(
    demo_root: Path, clip: ClipFaces, encoder: VisualEncoder
) -> None:
    faceless = ClipFaces(clip.path, "no face found", clip.frame_index[:0], clip.box_px[:0])
    result = embed_dialogue([faceless, clip], demo_root, encoder, PARAMS)
    assert result["reason"].tolist() == ["no face found", ""]
    assert not result["features"][0].any()
    np.testing.assert_array_equal(result["features"][1], embed(demo_root, clip, encoder))


def test_an_encoder_that_gives_no_finite_numbers_is_an_error_that_names_the_utterance(
    demo_root: Path, clip: ClipFaces, encoder: VisualEncoder, tmp_path: Path
) -> None:
    tensors = load_file(encoder.path)  # type: ignore[attr-defined]
    for name in ("conv1.weight", "fc.weight"):
        tensors[name] *= 1e30  # finite, and so no fault of the file
    save_file(tensors, tmp_path / "large.safetensors")
    large = replace(encoder, path=tmp_path / "large.safetensors")  # type: ignore[type-var]
    with pytest.raises(UserError, match=r"^dia0_utt1: the visual encoder gives numbers that are not finite"):
        embed_dialogue([replace(clip, utterance="dia0_utt1")], demo_root, large, PARAMS)


def test_a_clip_that_vanished_since_the_manifest_is_no_property_of_the_clip(
    demo_root: Path, clip: ClipFaces, encoder: VisualEncoder
) -> None:
    gone = ClipFaces("no/such/file.mp4", "", clip.frame_index, clip.box_px)
    with pytest.raises(UserError, match=r"no/such/file\.mp4: No such file .* run dvc repro again"):
        embed_dialogue([gone], demo_root, encoder, PARAMS)


def test_cutting_faces_ahead_changes_no_vector_and_no_reason(
    demo_root: Path,
    clip: ClipFaces,
    encoder: VisualEncoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "damaged.mp4").write_text("no video")
    clips = [
        clip,
        replace(clip, path=str(tmp_path / "damaged.mp4")),
        replace(clip, box_px=clip.box_px + 9),
        *(replace(clip, path=str(copy(demo_root / clip.path, tmp_path / f"{n}.mp4"))) for n in range(4)),
    ]
    results = []
    for threads in (0, 2):
        monkeypatch.setattr(runtime, "decode_threads", lambda threads=threads: threads)
        results.append(embed_dialogue(clips, demo_root, encoder, PARAMS))
    assert results[0]["reason"][1].startswith("cannot be opened")
    np.testing.assert_array_equal(results[0]["reason"], results[1]["reason"])
    np.testing.assert_array_equal(results[0]["features"], results[1]["features"])
    assert (results[0]["features"].any(axis=1) == (results[0]["reason"] == "")).all()


def test_what_tells_who_speaks_is_no_part_of_what_all_faces_give() -> None:
    """Else another threshold of it would embed everybody's faces anew, whatever the pooling."""
    made_of = reachable("pipeline.encoders.face_vectors", kinds=False)
    assert not {"pipeline.speakers.choice", "pipeline.speakers.speaking"} & made_of


def test_the_faces_of_a_clip_are_cut_from_the_frames_that_they_name(demo_root: Path, clip: ClipFaces) -> None:
    backwards = replace(clip, frame_index=clip.frame_index[::-1], box_px=clip.box_px[::-1])
    faces = dict(cut_faces(demo_root / clip.path, [clip, backwards], PARAMS))
    assert faces[0].shape == (6, 64, 64, 3)
    np.testing.assert_array_equal(faces[1], faces[0][::-1])
    assert not np.array_equal(faces[0][0], faces[0][1])


def test_a_clips_bytes_depend_neither_on_its_dialogue_nor_on_the_number_of_workers(
    demo_root: Path, clip: ClipFaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = find_encoder(KEY, Params(weights="untrained", architecture="resnet50"), None)
    clip, other = (
        replace(clip, frame_index=clip.frame_index[:faces], box_px=clip.box_px[:faces] + shift)
        for faces, shift in ((3, 0), (2, 9))
    )
    function = partial(embed_dialogue, root=demo_root, encoder=encoder, params=PARAMS)
    dialogues = [[clip], [other, clip], [clip, other, other], [other, other, clip, other]]
    found = {}
    for workers in (1, 3):
        monkeypatch.setenv("MULTIEMO_STORE", str(tmp_path / str(workers)))
        items = [Item(f"{place:064x}", str(place), len(rows), rows) for place, rows in enumerate(dialogues)]
        parts = list(extract("visual", items, function, workers=workers))
        found[workers] = [
            part["features"][row].tobytes()
            for part, rows in zip(parts, dialogues, strict=True)
            for row, content in enumerate(rows)
            if content is clip
        ]
    everywhere = {vector for vectors in found.values() for vector in vectors}
    assert everywhere == {embed(demo_root, clip, encoder).tobytes()}
    assert [len(vectors) for vectors in found.values()] == [4, 4]
