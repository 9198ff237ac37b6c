"""Encoders of pictures of transformers, held against direct calls of them."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision.transforms.v2.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoImageProcessor,
    AutoModel,
    BeitForImageClassification,
    SwinForImageClassification,
    ViTForImageClassification,
)

from pipeline.encoders.face_vectors import ClipFaces, cut_faces, embed_dialogue
from pipeline.encoders.visual.transformers import Encoder, Params, find_encoder
from pipeline.encoders.weights import find_local
from pipeline.errors import UserError
from pipeline.params import VisualParams
from tests.encoders.picture_models import CONFIGS, PROCESSORS, SQUARE, save_model, save_timm_model

KEY = "corpora.demo.visual.encoder"


def encoder_in(folder: Path) -> Encoder:
    return find_encoder(KEY, Params(weights=str(folder)), find_local(KEY, str(folder)))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: save_model(tmp_path_factory.mktemp("pictures") / "model", name) for name in CONFIGS}


@pytest.fixture(scope="module")
def faces(demo_root: Path, clip: ClipFaces) -> np.ndarray:
    """RGB uint8 [6, 64, 64, 3]."""
    [(_, faces)] = cut_faces(demo_root / clip.path, [clip], VisualParams(crop_size_px=64))
    return faces


def directly(folder: Path, faces: np.ndarray) -> np.ndarray:
    """What transformers itself says of each face, whole, by the output that is meant for it."""
    processor, network = AutoImageProcessor.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    family = network.config.model_type
    options: dict[str, Any] = {"size": SQUARE, "do_center_crop": False}
    if family.startswith("convnext"):  # below 384 px it resizes to more and cuts, whatever is asked
        options = {"size": {"shortest_edge": 384}}
    rows = []
    for face in faces:
        pixels = processor(face, return_tensors="pt", **options).pixel_values
        with torch.no_grad():
            if family in ("clip", "siglip"):
                rows.append(network.get_image_features(pixel_values=pixels).pooler_output[0])
            elif family == "vit":
                rows.append(network(pixel_values=pixels).last_hidden_state[0, 0])
            else:
                rows.append(network(pixel_values=pixels).pooler_output[0])
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("name", CONFIGS)
def test_an_embedding_is_what_transformers_says_of_the_whole_face(
    folders: dict[str, Path], faces: np.ndarray, name: str
) -> None:
    encoder = encoder_in(folders[name])
    vectors = encoder.embed(faces)
    assert vectors.dtype == np.float32
    assert vectors.shape == (6, encoder.dimension)
    if not name.startswith("convnext"):
        np.testing.assert_allclose(vectors, directly(folders[name], faces), atol=1e-5)
    small = np.ascontiguousarray(faces[:, ::2, ::2])  # as large as the model wants them: nothing is resized
    processor = AutoImageProcessor.from_pretrained(folders[name])
    pixels = processor(list(small), do_resize=False, do_center_crop=False, return_tensors="pt").pixel_values
    normalised = (torch.from_numpy(small).permute(0, 3, 1, 2) / 255).sub(mean(processor)).div(std(processor))
    np.testing.assert_allclose(pixels, normalised, atol=1e-5)
    np.testing.assert_allclose(encoder.embed(small), embed_values(folders[name], normalised), atol=1e-5)


def mean(processor: Any) -> torch.Tensor:
    return torch.tensor(processor.image_mean).view(3, 1, 1)


def std(processor: Any) -> torch.Tensor:
    return torch.tensor(processor.image_std).view(3, 1, 1)


def embed_values(folder: Path, values: torch.Tensor) -> np.ndarray:
    network = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        if network.config.model_type in ("clip", "siglip"):
            return network.get_image_features(pixel_values=values).pooler_output.numpy()
        output = network(pixel_values=values)
    if network.config.model_type == "vit":
        return output.last_hidden_state[:, 0].numpy()
    return output.pooler_output.numpy()


@pytest.mark.parametrize("name", CONFIGS)
def test_the_edges_of_a_face_count(folders: dict[str, Path], faces: np.ndarray, name: str) -> None:
    edged = faces.copy()
    edged[:, :2] = 0
    encoder = encoder_in(folders[name])
    assert (np.abs(encoder.embed(edged) - encoder.embed(faces)).max(axis=1) > 1e-5).all()


def test_a_clips_vector_depends_on_nothing_beside_it(
    demo_root: Path, clip: ClipFaces, folders: dict[str, Path]
) -> None:
    params = VisualParams(crop_size_px=64)
    clips = [replace(clip, box_px=clip.box_px + shift) for shift in (0, 5, 9)]
    encoder = encoder_in(folders["clip"])
    together = embed_dialogue(clips, demo_root, encoder, params)["features"]
    for each, vector in zip(clips, together, strict=True):
        [(_, faces)] = cut_faces(demo_root / clip.path, [each], params)
        np.testing.assert_allclose(vector, directly(folders["clip"], faces).mean(axis=0), atol=1e-5)
        alone = embed_dialogue([each], demo_root, encoder, params)["features"][0]
        np.testing.assert_array_equal(alone, vector)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("vit", ViTForImageClassification),
        ("beit", BeitForImageClassification),
        ("swin", SwinForImageClassification),
    ],
)
def test_a_classifier_as_it_is_published_serves_as_encoder(
    tmp_path: Path, faces: np.ndarray, name: str, kind: Any
) -> None:
    torch.manual_seed(0)
    folder = save_model(tmp_path, name, kind(CONFIGS[name]))
    np.testing.assert_allclose(encoder_in(folder).embed(faces), directly(folder, faces), atol=1e-5)


def test_code_in_a_folder_is_never_run_and_nobody_is_asked(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", "vit")
    (folder / "modeling.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Net: pass\n")
    own = {"AutoConfig": "modeling.Net", "AutoModel": "modeling.Net", "AutoImageProcessor": "modeling.Net"}
    change(folder / "preprocessor_config.json", image_processor_type="Net", auto_map=own)
    with pytest.raises(UserError, match=rf"^{KEY}: .* cannot be loaded: "):
        encoder_in(folder)
    change(folder / "config.json", model_type="own", auto_map=own)
    with pytest.raises(UserError, match=rf"^{KEY}: .* cannot be loaded: .*custom code"):
        encoder_in(folder)
    assert not (tmp_path / "ran").exists()


def test_a_folder_in_half_precision_or_in_shards_gives_the_same(
    folders: dict[str, Path], tmp_path: Path, faces: np.ndarray
) -> None:
    save_model(tmp_path / "half", "clip", AutoModel.from_pretrained(folders["clip"]).half())
    rounded = AutoModel.from_pretrained(tmp_path / "half", dtype=torch.float32)
    save_model(tmp_path / "single", "clip", rounded)
    rounded.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    PROCESSORS["clip"].save_pretrained(tmp_path / "shards")
    assert len(list((tmp_path / "shards").glob("model-*-of-*.safetensors"))) > 1
    vectors = [encoder_in(tmp_path / name).embed(faces) for name in ("half", "single", "shards")]
    np.testing.assert_array_equal(vectors[0], vectors[1])
    np.testing.assert_array_equal(vectors[0], vectors[2])


def change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_cannot_be_used_is_one_line_that_names_the_key(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", "vit")
    change(folder / "preprocessor_config.json", size={"height": 40, "width": 40})
    with pytest.raises(UserError, match=rf"^{KEY}: .* does not read the pictures of 40 px that its"):
        encoder_in(folder)
    change(folder / "config.json", num_hidden_layers=3)
    with pytest.raises(UserError, match=rf"^{KEY}: the weights in .* do not fit ViTModel"):
        encoder_in(folder)
    change(folder / "config.json", model_type="bert")
    with pytest.raises(UserError, match=rf"^{KEY}: .* is a bert, and no encoder of pictures that is known"):
        encoder_in(folder)
    change(folder / "config.json", model_type="vit", num_hidden_layers=2)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(UserError, match=rf"^{KEY}: .* holds no preprocessor_config\.json, which tells"):
        encoder_in(folder)
    with pytest.raises(UserError, match=rf"^{KEY}\.weights: this kind is not built untrained"):
        find_encoder(KEY, Params(weights="untrained"), None)


@pytest.fixture
def of_timm(tmp_path: Path) -> Path:
    return save_timm_model(tmp_path / "timm")


def test_a_model_of_timm_gives_what_timm_says_of_the_whole_face(of_timm: Path, faces: np.ndarray) -> None:
    encoder = encoder_in(of_timm)
    assert encoder.description == f"timm's vit_tiny_patch16_224 from {of_timm} (pictures of 32 px)"
    assert "timm" in encoder.libraries
    network = timm.create_model(f"local-dir:{of_timm}", pretrained=True, num_classes=0).eval()
    settings = timm.data.resolve_model_data_config(network) | {"crop_pct": 1.0}
    small = np.ascontiguousarray(faces[:, ::2, ::2])  # as large as the model wants them: nothing is resized
    values = torch.stack([timm.data.create_transform(**settings)(Image.fromarray(face)) for face in small])
    with torch.no_grad():
        expected = network(values).numpy()
    np.testing.assert_allclose(encoder.embed(small), expected, atol=1e-5)
    resized = F.resize(torch.from_numpy(faces).permute(0, 3, 1, 2), [32, 32], F.InterpolationMode.BICUBIC)
    again = np.ascontiguousarray(resized.permute(0, 2, 3, 1).numpy())
    np.testing.assert_array_equal(encoder.embed(faces), encoder.embed(again))
    alone = [encoder.embed(face[None])[0] for face in faces]
    np.testing.assert_allclose(encoder.embed(faces), alone, atol=1e-5)


def test_a_model_of_timm_in_half_precision_is_computed_with_in_float32(
    of_timm: Path, faces: np.ndarray, tmp_path: Path
) -> None:
    tensors = {name: tensor.half() for name, tensor in load_file(of_timm / "model.safetensors").items()}
    vectors = []
    for name, dtype in (("half", torch.float16), ("single", torch.float32)):
        copy = Path(shutil.copytree(of_timm, tmp_path / name))
        save_file({each: tensor.to(dtype) for each, tensor in tensors.items()}, copy / "model.safetensors")
        vectors.append(encoder_in(copy).embed(faces))
    np.testing.assert_array_equal(*vectors)


def test_a_model_of_timm_that_cannot_be_used_is_one_line(
    of_timm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = load_file(of_timm / "model.safetensors")
    save_file({name: tensors[name] for name in sorted(tensors)[1:]}, of_timm / "model.safetensors")
    with pytest.raises(UserError, match=rf"^{KEY}: .*timm cannot be loaded: .*Missing key.*[^\n]*$"):
        encoder_in(of_timm)
    change(of_timm / "config.json", architecture="own_net")
    with pytest.raises(UserError, match=rf"^{KEY}: .*timm cannot be loaded: Unknown model \(own_net\)$"):
        encoder_in(of_timm)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=rf"^{KEY}: .* not installed: pip install -e '\.\[timm\]'$"):
        encoder_in(of_timm)


def test_weights_that_take_the_place_of_others_are_those_that_are_used(
    folders: dict[str, Path], faces: np.ndarray, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders["vit"], tmp_path / "vit"))
    before = encoder_in(folder).embed(faces)
    tensors = load_file(folder / "model.safetensors")
    changed = {name: 2 * tensor for name, tensor in tensors.items()}
    save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})
    assert not np.array_equal(before, encoder_in(folder).embed(faces))


def test_weights_count_by_their_content(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["clip"], tmp_path / "clip"))
    assert encoder_in(folder).settings == encoder_in(folders["clip"]).settings
    assert encoder_in(folder).settings != encoder_in(folders["siglip"]).settings
    assert encoder_in(folder).description == f"CLIP from {folder} (pictures of 32 px)"
