"""InceptionResnetV1, held against facenet-pytorch itself; its weights are random, in the published form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from facenet_pytorch import InceptionResnetV1, fixed_image_standardization
from safetensors.torch import save_file

from pipeline.encoders.face_vectors import ClipFaces, cut_faces
from pipeline.encoders.visual.facenet import Encoder, Params, find_encoder
from pipeline.encoders.weights import find_local
from pipeline.errors import UserError
from pipeline.params import VisualParams

KEY = "corpora.demo.visual.encoder"


@pytest.fixture(scope="module")
def network() -> InceptionResnetV1:
    torch.manual_seed(0)
    network = InceptionResnetV1().eval()
    network.last_bn.weight.data.uniform_(0.5, 2)
    return network


@pytest.fixture(scope="module")
def published(network: InceptionResnetV1, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as py-feat's on the hub: with the classifier of people, and a config that says little."""
    folder = tmp_path_factory.mktemp("facenet")
    classifier = {"logits.weight": torch.zeros(7, 512), "logits.bias": torch.zeros(7)}
    save_file(network.state_dict() | classifier, folder / "model.safetensors")
    (folder / "config.json").write_text('{"classify": false, "device": "auto", "pretrained": "vggface2"}')
    return folder


def encoder_in(path: Path, **params: bool) -> Encoder:
    return find_encoder(KEY, Params(weights=str(path), **params), find_local(KEY, str(path)))


@pytest.fixture(scope="module")
def faces(demo_root: Path, clip: ClipFaces) -> np.ndarray:
    [(_, faces)] = cut_faces(demo_root / clip.path, [clip], VisualParams(crop_size_px=160))
    return faces[:2]


def test_an_embedding_is_what_facenet_pytorch_says_and_of_length_1_or_not(
    network: InceptionResnetV1, published: Path, faces: np.ndarray
) -> None:
    with torch.no_grad():
        expected = network(fixed_image_standardization(torch.from_numpy(faces).permute(0, 3, 1, 2).float()))
    scaled, unscaled = encoder_in(published), encoder_in(published, unit_length=False)
    assert scaled.settings != unscaled.settings
    assert scaled.description == f"InceptionResnetV1 from {published} (embeddings of length 1)"
    vectors, free = scaled.embed(faces), unscaled.embed(faces)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    lengths = np.linalg.norm(free, axis=1, keepdims=True)
    assert (np.abs(lengths - 1) > 0.1).all()
    np.testing.assert_allclose(free / lengths, expected, atol=1e-5)


def test_a_file_as_facenet_pytorch_downloads_it_serves_too(
    network: InceptionResnetV1, published: Path, tmp_path: Path, faces: np.ndarray
) -> None:
    torch.save(network.state_dict(), tmp_path / "20180402-114759-vggface2.pt")
    encoder = encoder_in(tmp_path / "20180402-114759-vggface2.pt")
    np.testing.assert_array_equal(encoder.embed(faces), encoder_in(published).embed(faces))


def test_weights_that_take_the_place_of_others_are_those_that_are_used(
    network: InceptionResnetV1, tmp_path: Path, faces: np.ndarray
) -> None:
    path = tmp_path / "faces.safetensors"
    save_file(network.state_dict(), path)
    before = encoder_in(path).embed(faces)
    tensors = network.state_dict()
    save_file(tensors | {"last_bn.bias": tensors["last_bn.bias"] + 1}, path)
    assert not np.array_equal(before, encoder_in(path).embed(faces))


def test_larger_crops_are_shrunk_to_the_size_of_its_training(
    published: Path, demo_root: Path, clip: ClipFaces, faces: np.ndarray
) -> None:
    [(_, large)] = cut_faces(demo_root / clip.path, [clip], VisualParams(crop_size_px=320))
    vectors = encoder_in(published).embed(large[:2])
    assert (vectors * encoder_in(published).embed(faces)).sum(axis=1).min() > 0.99


def test_weights_of_another_network_are_refused_with_names(
    network: InceptionResnetV1, tmp_path: Path
) -> None:
    state = dict(network.state_dict())
    del state["last_linear.weight"]
    save_file(state | {"fc.weight": torch.zeros(3)}, tmp_path / "faces.safetensors")
    complaint = rf"^{KEY}: .* does not fit InceptionResnetV1: 2 weights .* \(last_linear\.weight, fc\.weight"
    with pytest.raises(UserError, match=complaint):
        encoder_in(tmp_path / "faces.safetensors")
    with pytest.raises(UserError, match=rf"^{KEY}\.weights: this kind is not built untrained"):
        find_encoder(KEY, Params(weights="untrained"), None)
