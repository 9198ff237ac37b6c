from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import copy

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline import runtime
from pipeline.encoders.resnets.namings import IMAGENET
from pipeline.encoders.resnets.network import ARCHITECTURES, Architecture, build_untrained
from pipeline.errors import UserError
from pipeline.manifest import Medium
from pipeline.params import FacesParams, VisualParams
from pipeline.store.keys import file_digest
from pipeline.work.extraction import Item, extract
from stages.faces import find_faces_of_dialogue
from stages.visual import ClipFaces, crop_face, cut_faces, embed_dialogue, find_encoder

PARAMS = VisualParams(weights="untrained", crop_size_px=64)


@pytest.fixture(scope="module")
def clip(demo_root: Path, sound_clip: Medium) -> ClipFaces:
    faces = find_faces_of_dialogue([sound_clip], demo_root, FacesParams(min_face_size_px=40))
    return ClipFaces(sound_clip.path, "", faces["frame_index"][:6], faces["box_px"][:6])


def test_a_crop_is_centred_on_its_face_and_squared_by_the_longer_side() -> None:
    image = np.zeros((100, 120, 3), np.uint8)
    image[40:60, 50:60] = 255
    crop = crop_face(image, np.array([50, 40, 60, 60], np.float32), margin=0.5, size_px=40)
    assert crop.shape == (40, 40, 3)
    bright = np.argwhere(crop[..., 0] > 127)
    assert bright.min(axis=0).tolist() == [10, 15]
    assert bright.max(axis=0).tolist() == [29, 24]


def test_a_crop_beyond_the_picture_repeats_its_edge() -> None:
    image = np.full((50, 50, 3), 90, np.uint8)
    crop = crop_face(image, np.array([-10, -10, 20, 20], np.float32), margin=0.2, size_px=32)
    assert (crop == 90).all()


def test_a_large_face_is_shrunk_with_antialiasing() -> None:
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = crop_face(stripes, np.array([0, 0, 400, 400], np.float32), margin=0, size_px=40)
    assert np.abs(crop[:, 2:-2].astype(int) - 127).max() < 16


def embed(demo_root: Path, clip: ClipFaces, params: VisualParams = PARAMS) -> np.ndarray:
    encoder = find_encoder("visual.weights", params)
    result = embed_dialogue([clip], demo_root, encoder, params)
    assert result["reason"].tolist() == [""]
    return result["features"][0]


def test_pooling_is_over_faces_over_frames_or_over_the_largest(demo_root: Path, clip: ClipFaces) -> None:
    # Two faces in the first frame, the larger one last; one in the second.
    rows, boxes = clip.frame_index[[0, 0, 1]], clip.box_px[[0, 2, 1]]
    boxes[1, 2:] += 20
    singles = [
        embed(demo_root, ClipFaces(clip.path, "", rows[i : i + 1], boxes[i : i + 1])) for i in range(3)
    ]
    expected = {
        "faces": np.mean(singles, axis=0),
        "frames": (np.mean(singles[:2], axis=0) + singles[2]) / 2,
        "largest": (singles[1] + singles[2]) / 2,
    }
    for pooling, vector in expected.items():
        params = PARAMS.model_copy(update={"pooling": pooling})
        pooled = embed(demo_root, ClipFaces(clip.path, "", rows, boxes), params)
        assert pooled.shape == (1000,)
        np.testing.assert_allclose(pooled, vector, rtol=1e-3, atol=1e-5 * np.abs(vector).max())


def test_a_clip_without_faces_keeps_its_reason_and_its_neighbours_their_vectors(
    demo_root: Path, clip: ClipFaces
) -> None:
    faceless = ClipFaces(clip.path, "no face found", clip.frame_index[:0], clip.box_px[:0])
    result = embed_dialogue([faceless, clip], demo_root, find_encoder("key", PARAMS), PARAMS)
    assert result["reason"].tolist() == ["no face found", ""]
    assert not result["features"][0].any()
    np.testing.assert_array_equal(result["features"][1], embed(demo_root, clip))


def test_a_clip_that_vanished_since_the_manifest_is_no_property_of_the_clip(
    demo_root: Path, clip: ClipFaces
) -> None:
    gone = ClipFaces("no/such/file.mp4", "", clip.frame_index, clip.box_px)
    with pytest.raises(UserError, match=r"no/such/file\.mp4: No such file .* run dvc repro again"):
        embed_dialogue([gone], demo_root, find_encoder("key", PARAMS), PARAMS)


def test_cutting_faces_ahead_changes_no_vector_and_no_reason(
    demo_root: Path, clip: ClipFaces, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = PARAMS.model_copy(update={"weights": str(weights), "architecture": "resnet50"})
    (tmp_path / "damaged.mp4").write_text("no video")
    clips = [
        clip,
        replace(clip, path=str(tmp_path / "damaged.mp4")),
        replace(clip, box_px=clip.box_px + 9),
        *(replace(clip, path=str(copy(demo_root / clip.path, tmp_path / f"{n}.mp4"))) for n in range(4)),
    ]
    encoder, results = find_encoder("key", params), []
    for threads in (0, 2):
        monkeypatch.setattr(runtime, "decode_threads", lambda threads=threads: threads)
        results.append(embed_dialogue(clips, demo_root, encoder, params))
    assert results[0]["reason"][1].startswith("cannot be opened")
    np.testing.assert_array_equal(results[0]["reason"], results[1]["reason"])
    np.testing.assert_array_equal(results[0]["features"], results[1]["features"])
    assert (results[0]["features"].any(axis=1) == (results[0]["reason"] == "")).all()


def test_untrained_weights_are_told_in_the_description_and_fixed_by_the_seed() -> None:
    one, other = (find_encoder("visual.weights", PARAMS.model_copy(update={"seed": seed})) for seed in (1, 2))
    assert "UNTRAINED" in one.description
    assert one.digest != other.digest


def test_missing_weights_are_an_error_that_names_key_and_path(tmp_path: Path) -> None:
    params = PARAMS.model_copy(update={"weights": str(tmp_path / "resnet101")})
    with pytest.raises(UserError, match=r"corpora\.x\.visual\.weights: .*resnet101"):
        find_encoder("corpora.x.visual.weights", params)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small trained network in a file, small enough for a test under the name of resnet50."""
    small = Architecture("small ResNet", (1, 1, 1, 1), width=8)
    monkeypatch.setitem(ARCHITECTURES, "resnet50", small)
    path = tmp_path / "faces.safetensors"
    save_file(build_untrained(small, 7, seed=3).state_dict(), path)
    return path


@pytest.mark.parametrize(("output", "dimension"), [("head", 7), ("penultimate", 256)])
def test_the_dimension_follows_the_checkpoint_and_the_layer(
    demo_root: Path, clip: ClipFaces, weights: Path, output: str, dimension: int
) -> None:
    params = PARAMS.model_copy(update={"weights": str(weights), "architecture": "resnet50", "output": output})
    encoder = find_encoder("key", params)
    assert encoder.dimension == dimension
    assert "in the layout of torchvision" in encoder.description
    assert "UNTRAINED" not in encoder.description
    vector = embed(demo_root, clip, params)
    assert vector.shape == (dimension,)
    # What the network says of each crop by itself, unfolded and in the usual memory format.
    network = build_untrained(ARCHITECTURES["resnet50"], 7, seed=3).eval()
    [crops] = cut_faces(demo_root / clip.path, [clip], params)
    with torch.inference_mode():
        pixels = IMAGENET.apply(torch.from_numpy(crops).permute(0, 3, 1, 2))
        expected = network(pixels, output == "penultimate").mean(dim=0)
    np.testing.assert_allclose(vector, expected, rtol=1e-3, atol=1e-4)


def test_bfloat16_gives_nearly_the_direction_of_float32(
    demo_root: Path, clip: ClipFaces, weights: Path
) -> None:
    update = {"weights": str(weights), "architecture": "resnet50", "output": "penultimate"}
    exact = embed(demo_root, clip, PARAMS.model_copy(update=update))
    rounded = embed(demo_root, clip, PARAMS.model_copy(update=update | {"precision": "bfloat16"}))
    assert not np.array_equal(rounded, exact)
    assert rounded @ exact / np.linalg.norm(rounded) / np.linalg.norm(exact) > 0.999


def test_weights_without_a_head_serve_for_the_penultimate_layer_only(weights: Path) -> None:
    tensors = {name: tensor for name, tensor in load_file(weights).items() if not name.startswith("fc.")}
    save_file(tensors, weights)
    params = PARAMS.model_copy(update={"weights": str(weights), "architecture": "resnet50"})
    with pytest.raises(UserError, match=r"key: .* holds no classification head; set output: penultimate"):
        find_encoder("key", params)
    assert find_encoder("key", params.model_copy(update={"output": "penultimate"})).dimension == 256


def test_weights_must_have_the_digest_that_the_params_name(weights: Path) -> None:
    update = {"weights": str(weights), "architecture": "resnet50", "sha256": file_digest(weights)}
    find_encoder("key", PARAMS.model_copy(update=update))
    weights.write_bytes(weights.read_bytes() + b" ")
    with pytest.raises(UserError, match=r"key: .*faces\.safetensors has the SHA-256 .* and not"):
        find_encoder("key", PARAMS.model_copy(update=update))


def test_a_clips_bytes_depend_neither_on_its_dialogue_nor_on_the_number_of_workers(
    demo_root: Path, clip: ClipFaces, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = PARAMS.model_copy(update={"weights": str(weights), "architecture": "resnet50"})
    clip, other = (
        replace(clip, frame_index=clip.frame_index[:faces], box_px=clip.box_px[:faces] + shift)
        for faces, shift in ((3, 0), (2, 9))
    )
    function = partial(embed_dialogue, root=demo_root, encoder=find_encoder("key", params), params=params)
    dialogues = [[clip], [other, clip], [clip, other, other], [other, other, clip, other]]
    found = {}
    for workers in (2, 4):
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
    assert everywhere == {embed(demo_root, clip, params).tobytes()}
    assert [len(vectors) for vectors in found.values()] == [4, 4]
