"""3D-CNNs of torchvision on whole pictures, held against torchvision itself; their weights are random."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as F
from torchvision.models import get_model
from torchvision.models.video import R2Plus1D_18_Weights

from pipeline.encoders.scene_vectors import embed_scenes
from pipeline.encoders.visual import facenet, finds_faces
from pipeline.encoders.visual.scene import MEAN, NETWORKS, STD, Encoder, Params, cut_clips, find_encoder
from pipeline.encoders.weights import find_local
from pipeline.errors import UserError
from pipeline.manifest import Medium
from pipeline.media.clips import image_clip
from pipeline.media.frames import iterate_frames
from pipeline.params import Kind, VisualParams, read_params
from pipeline.store.code import PROJECT

KEY = "corpora.demo.visual.encoder"


@pytest.fixture(autouse=True)
def _small_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that see less of them, in less time."""
    if "files" in request.fixturenames:
        for name, height_px, width_px in (("mc3_18", 48, 64), ("s3d", 224, 224)):
            small = NETWORKS[name]._replace(height_px=height_px, width_px=width_px)
            monkeypatch.setitem(NETWORKS, name, small)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Weights as torchvision publishes them, of the two smallest networks."""
    folder = tmp_path_factory.mktemp("scenes")
    for name in ("mc3_18", "s3d"):
        torch.manual_seed(0)
        torch.save(get_model(name).state_dict(), folder / f"{name}.pth")
    return {path.stem: path for path in folder.iterdir()}


def encoder_of(files: dict[str, Path], architecture: str, **params: int) -> Encoder:
    path = files[architecture]
    given = Params.model_validate({"weights": str(path), "architecture": architecture, **params})
    return find_encoder(KEY, given, find_local(KEY, str(path)))


def directly(path: Path, images: list[np.ndarray]) -> np.ndarray:
    """What torchvision's network says of a clip, but for its head, after its own steps but for the crop."""
    network = get_model(path.stem)
    network.load_state_dict(torch.load(path))
    setattr(network, NETWORKS[path.stem].head, torch.nn.Identity())
    video = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    size = [NETWORKS[path.stem].height_px, NETWORKS[path.stem].width_px]
    values = F.convert_image_dtype(F.resize(video, size, antialias=False), torch.float)
    with torch.no_grad():
        return network.eval()(F.normalize(values, MEAN, STD).permute(1, 0, 2, 3)[None])[0].numpy()


def test_an_utterance_is_the_mean_of_clips_over_its_whole_length(
    demo_root: Path, sound_clip: Medium, files: dict[str, Path]
) -> None:
    clip = image_clip(sound_clip)
    missing = replace(clip, problem="clip missing")
    encoder = encoder_of(files, "mc3_18", clips_per_utterance=2)
    result = embed_scenes([missing, clip], demo_root, encoder)
    assert result["reason"].tolist() == ["clip missing", ""]
    assert not result["features"][0].any()
    [(_, frames)] = iterate_frames([clip], demo_root, 32)
    halves = [directly(files["mc3_18"], images) for images in (frames.images[:16], frames.images[16:])]
    np.testing.assert_allclose(result["features"][1], np.mean(halves, axis=0), atol=1e-5)


def test_s3d_says_what_it_says_in_torchvision(files: dict[str, Path]) -> None:
    encoder = encoder_of(files, "s3d")
    images = list(np.random.default_rng(0).integers(0, 256, (16, 60, 80, 3), np.uint8))
    vector = encoder.embed(np.stack([encoder.shrink(image) for image in images]))
    assert vector.shape == (encoder.dimension,)
    np.testing.assert_allclose(vector, directly(files["s3d"], images), atol=1e-5)


def test_weights_that_take_the_place_of_others_are_those_that_are_used(
    files: dict[str, Path], tmp_path: Path
) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (16, 48, 64, 3), np.uint8)
    weights = {"mc3_18": tmp_path / "mc3_18.pth"}
    state = torch.load(files["mc3_18"])
    torch.save(state, weights["mc3_18"])
    before = encoder_of(weights, "mc3_18").embed(frames)
    torch.save(state | {"layer4.1.conv2.1.bias": torch.ones(512)}, weights["mc3_18"])
    assert not np.array_equal(before, encoder_of(weights, "mc3_18").embed(frames))


def test_the_part_that_shows_the_speaker_is_used_alone(
    demo_root: Path, sound_clip: Medium, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[int] = []

    def shrink(self: Encoder, image: np.ndarray) -> np.ndarray:
        widths.append(image.shape[1])
        return image[:4, :4]

    monkeypatch.setattr(Encoder, "shrink", shrink)
    monkeypatch.setattr(Encoder, "embed", lambda self, frames: np.ones(512, np.float32))
    encoder = Encoder(KEY, files["mc3_18"], Params(weights="x.pth", clips_per_utterance=1), ())
    for crop in ("", "left"):
        embed_scenes([replace(image_clip(sound_clip), crop=crop)], demo_root, encoder)
    assert widths[16:] == [round(widths[0] / 2)] * 16


def test_numbers_that_are_not_finite_are_an_error_that_names_the_utterance(
    demo_root: Path, sound_clip: Medium, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = iter(np.array([[1] * 512, [np.nan] * 512], np.float32))
    monkeypatch.setattr(Encoder, "embed", lambda self, frames: next(vectors))
    film = [replace(sound_clip, id=f"dia0_utt{n}", start_s=0.0, end_s=1.0 + n) for n in range(2)]
    with pytest.raises(UserError, match=r"^dia0_utt1: the visual encoder gives numbers that are not finite"):
        embed_scenes([image_clip(row) for row in film], demo_root, encoder_of(files, "mc3_18"))


def test_its_steps_are_those_of_torchvision() -> None:
    preset = R2Plus1D_18_Weights.KINETICS400_V1.transforms()
    assert (tuple(preset.mean), tuple(preset.std)) == (MEAN, STD)
    for name in ("r2plus1d_18", "mc3_18", "r3d_18"):
        assert preset.resize_size == [NETWORKS[name].height_px, NETWORKS[name].width_px]


@pytest.mark.parametrize(
    ("frames", "clips", "first"),
    [(48, 3, [0, 1, 2]), (32, 2, [0, 1, 2]), (40, 2, [0, 1, 2, 3, 5]), (8, 1, [0, 0, 1, 1]), (1, 1, [0, 0])],
)
def test_clips_lie_evenly_whatever_the_number_of_frames(frames: int, clips: int, first: list[int]) -> None:
    cut = cut_clips(np.arange(frames))
    assert cut.shape == (clips, 16)
    assert cut.reshape(-1)[: len(first)].tolist() == first
    assert np.diff(cut.reshape(-1)).min() >= 0


def test_a_kind_says_itself_whether_faces_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    demo = read_params(PROJECT / "params.yaml").corpus("demo")

    def found(modalities: tuple[str, ...], **encoder: str) -> bool:
        visual = demo.visual.model_copy(update={"encoder": Kind.model_validate(encoder)})
        return finds_faces("demo", demo.model_copy(update={"modalities": modalities, "visual": visual}))

    assert found(("visual",), kind="facenet", weights="some/model")
    assert not found(("text", "audio"), kind="facenet", weights="some/model")
    assert not found(("visual",), kind="scene", weights="some/model")
    monkeypatch.setattr(facenet, "READS_FRAMES", True, raising=False)
    assert not found(("visual",), kind="facenet", weights="some/model")


@pytest.mark.parametrize("pooling", ["speaker", "frames"])
def test_whole_pictures_have_no_faces_to_choose_among(pooling: str) -> None:
    encoder = Kind.model_validate({"kind": "scene", "weights": "some/weights"})
    demo = read_params(PROJECT / "params.yaml").corpus("demo")
    visual = VisualParams.model_validate({"encoder": encoder, "pooling": pooling})
    message = r"params\.yaml: corpora\.demo\.visual\.pooling is of faces, and scene takes whole pictures"
    with pytest.raises(UserError, match=message):
        finds_faces("demo", demo.model_copy(update={"visual": visual}))


def test_weights_of_another_network_are_refused(files: dict[str, Path]) -> None:
    files = {"r3d_18": files["mc3_18"]}
    with pytest.raises(UserError, match=rf"^{KEY}: .*mc3_18\.pth does not fit R3D-18: \d+ weights"):
        encoder_of(files, "r3d_18")
    with pytest.raises(UserError, match=rf"^{KEY}\.weights: this kind is not built untrained"):
        find_encoder(KEY, Params(weights="untrained"), None)


def test_what_defines_the_vectors_is_told(files: dict[str, Path]) -> None:
    three, two = encoder_of(files, "mc3_18"), encoder_of(files, "mc3_18", clips_per_utterance=2)
    assert three.settings != two.settings
    assert three.description == f"MC3-18 of whole pictures from {files['mc3_18']} (3 clips an utterance)"
