from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import ResNetConfig, ResNetForImageClassification

from pipeline.errors import UserError
from pipeline.manifest import Medium
from pipeline.params import FacesParams, VisualParams
from stages.faces import find_faces_of_dialogue
from stages.visual import RESNET_101, ClipFaces, crop_face, embed_dialogue, find_encoder

PARAMS = VisualParams(weights="untrained", crop_size_px=64)


@pytest.fixture(scope="module")
def clip(demo_root: Path, sound_clip: Medium) -> ClipFaces:
    faces = find_faces_of_dialogue([sound_clip], demo_root, FacesParams(min_face_size_px=40))
    return ClipFaces(sound_clip.path, "", faces["frame_index"][:6], faces["box_px"][:6])


def test_the_encoder_has_the_shape_of_resnet_101() -> None:
    with torch.device("meta"):
        network = ResNetForImageClassification(ResNetConfig(**RESNET_101))
    # torchvision's resnet101, whose parameters are counted in its documentation.
    assert sum(parameter.numel() for parameter in network.parameters()) == 44_549_160


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
    # Two faces in the first frame, one in the second.
    rows, boxes = clip.frame_index[[0, 0, 1]], clip.box_px[[0, 2, 1]]
    singles = [
        embed(demo_root, ClipFaces(clip.path, "", rows[i : i + 1], boxes[i : i + 1])) for i in range(3)
    ]
    expected = {
        "faces": np.mean(singles, axis=0),
        "frames": (np.mean(singles[:2], axis=0) + singles[2]) / 2,
        "largest": (singles[0] + singles[2]) / 2,
    }
    for pooling, vector in expected.items():
        params = PARAMS.model_copy(update={"pooling": pooling})
        pooled = embed(demo_root, ClipFaces(clip.path, "", rows, boxes), params)
        assert pooled.shape == (1000,)
        np.testing.assert_allclose(pooled, vector, rtol=1e-3)


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


def test_weights_that_lack_a_layer_are_refused_and_never_made_up(
    tmp_path: Path, demo_root: Path, clip: ClipFaces
) -> None:
    small = {**RESNET_101, "hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "num_labels": 7}
    folder = tmp_path / "face_model"
    ResNetForImageClassification(ResNetConfig(**small)).save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    del tensors["classifier.1.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    params = PARAMS.model_copy(update={"weights": str(folder)})
    with pytest.raises(UserError, match=r"face_model do not fit .* 1 are missing .*classifier\.1\.weight"):
        embed_dialogue([clip], demo_root, find_encoder("key", params), params)


def test_untrained_weights_are_told_in_the_description_and_fixed_by_the_seed() -> None:
    one, other = (find_encoder("visual.weights", PARAMS.model_copy(update={"seed": seed})) for seed in (1, 2))
    assert "UNTRAINED" in one.description
    assert one.digest != other.digest


def test_missing_weights_are_an_error_that_names_key_and_path(tmp_path: Path) -> None:
    params = PARAMS.model_copy(update={"weights": str(tmp_path / "resnet101")})
    with pytest.raises(UserError, match=r"corpora\.x\.visual\.weights: .*resnet101"):
        find_encoder("corpora.x.visual.weights", params)


def test_a_model_folder_gives_its_own_dimension_and_values(
    tmp_path: Path, demo_root: Path, clip: ClipFaces
) -> None:
    torch.manual_seed(5)
    small = {**RESNET_101, "hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "num_labels": 7}
    network = ResNetForImageClassification(ResNetConfig(**small)).eval()
    network.save_pretrained(tmp_path / "face_model")
    encoder = find_encoder("key", PARAMS.model_copy(update={"weights": str(tmp_path / "face_model")}))
    assert encoder.dimension == 7
    assert "UNTRAINED" not in encoder.description
    vector = embed_dialogue([clip], demo_root, encoder, PARAMS)["features"][0]
    assert vector.shape == (7,)
    assert np.isfinite(vector).all()
