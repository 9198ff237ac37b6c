from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.encoders.face_vectors import ClipFaces, cut_faces
from pipeline.encoders.resnets.namings import IMAGENET
from pipeline.encoders.resnets.network import ARCHITECTURES, build_untrained
from pipeline.encoders.visual.resnet import Encoder, Params, find_encoder
from pipeline.encoders.weights import find_local
from pipeline.errors import UserError
from pipeline.params import VisualParams

KEY = "corpora.demo.visual.encoder"


def trained(weights: Path, **params: str) -> Encoder:
    given = Params(weights=str(weights), architecture="resnet50", **params)
    return find_encoder(KEY, given, find_local(KEY, str(weights)))


@pytest.fixture(scope="module")
def faces(demo_root: Path, clip: ClipFaces) -> np.ndarray:
    """RGB uint8 [6, 64, 64, 3]."""
    [(_, faces)] = cut_faces(demo_root / clip.path, [clip], VisualParams(crop_size_px=64))
    return faces


def test_untrained_weights_are_told_in_the_description_and_fixed_by_the_seed() -> None:
    one, same, other = (find_encoder(KEY, Params(weights="untrained", seed=seed), None) for seed in (1, 1, 2))
    assert one.description.startswith("UNTRAINED")
    assert one.settings == same.settings != other.settings


@pytest.mark.parametrize(("output", "dimension"), [("head", 7), ("penultimate", 256)])
def test_the_dimension_follows_the_weights_and_the_layer(
    faces: np.ndarray, weights: Path, output: str, dimension: int
) -> None:
    encoder = trained(weights, output=output)
    assert encoder.dimension == dimension
    assert "in the naming of torchvision" in encoder.description
    assert "UNTRAINED" not in encoder.description
    vectors = encoder.embed(faces)
    assert vectors.shape == (6, dimension)
    assert vectors.dtype == np.float32
    # What the network says of the faces by itself, unfolded and in the usual memory format.
    network = build_untrained(ARCHITECTURES["resnet50"], 7, seed=3).eval()
    with torch.inference_mode():
        pixels = IMAGENET.apply(torch.from_numpy(faces).permute(0, 3, 1, 2))
        expected = network(pixels, output == "penultimate")
    np.testing.assert_allclose(vectors, expected, rtol=1e-3, atol=1e-4)


def test_bfloat16_gives_nearly_the_direction_of_float32(faces: np.ndarray, weights: Path) -> None:
    exact = trained(weights, output="penultimate").embed(faces).mean(axis=0)
    rounded = trained(weights, output="penultimate", precision="bfloat16").embed(faces).mean(axis=0)
    assert not np.array_equal(rounded, exact)
    assert rounded @ exact / np.linalg.norm(rounded) / np.linalg.norm(exact) > 0.999


def test_weights_without_a_head_serve_for_the_penultimate_layer_only(weights: Path) -> None:
    tensors = {name: tensor for name, tensor in load_file(weights).items() if not name.startswith("fc.")}
    save_file(tensors, weights)
    with pytest.raises(UserError, match=rf"{KEY}: .* holds no classification head; set output: penultimate"):
        trained(weights)
    assert trained(weights, output="penultimate").dimension == 256


def test_weights_define_the_vectors_by_their_content_wherever_they_lie(weights: Path, tmp_path: Path) -> None:
    here = trained(weights).settings
    moved = weights.rename(tmp_path / "moved.safetensors")
    assert trained(moved).settings == here
    save_file(build_untrained(ARCHITECTURES["resnet50"], 7, seed=4).state_dict(), moved)
    assert trained(moved).settings != here


@pytest.mark.parametrize("params", [{"output": "penultimate"}, {"precision": "bfloat16"}])
def test_what_else_defines_the_vectors_is_told(weights: Path, params: dict[str, str]) -> None:
    assert trained(weights, **params).settings != trained(weights).settings
