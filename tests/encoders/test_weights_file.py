"""Face weights in every naming, each held against a forward pass that shares no code with ours."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from torchvision.models import resnet
from transformers import ResNetConfig, ResNetForImageClassification

from pipeline.encoders.resnets.namings import NAMINGS
from pipeline.encoders.resnets.network import ARCHITECTURES, CAFFE, Architecture, ResNet, fold_batch_norms
from pipeline.encoders.resnets.weights_file import ResNetFile, load_resnet
from pipeline.errors import UserError

SMALL = Architecture("small ResNet", (2, 1, 1, 1), width=8)
SMALL_SE = Architecture("small SE-ResNet", (2, 1, 1, 1), squeeze=True, width=8)
Tensors = dict[str, torch.Tensor]


def faces() -> torch.Tensor:
    """RGB uint8 [2, 3, 75, 75]; an odd size shows how pooling and strides round."""
    return torch.randint(0, 256, (2, 3, 75, 75), generator=torch.Generator().manual_seed(0)).byte()


def shaken(network: torch.nn.Module) -> torch.nn.Module:
    """The network in eval mode with batch norms that do something."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in network.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            tensor.copy_(0.2 * torch.randn(tensor.shape, generator=generator))
        elif name.endswith("running_var"):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return network.eval()


def torchvision_network(head_size: int = 5) -> torch.nn.Module:
    torch.manual_seed(0)
    return shaken(resnet.ResNet(resnet.Bottleneck, [2, 1, 1, 1], num_classes=head_size))


FULL_WIDTH = Architecture("small ResNet", (2, 1, 1, 1))


def imagenet(pixels: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return (pixels / 255 - mean) / std


def assert_gives(found: ResNetFile, expected: torch.Tensor) -> None:
    with torch.inference_mode():
        given = found.naming.normalisation.apply(faces())
        embeddings = fold_batch_norms(found.network)(given)
    torch.testing.assert_close(embeddings, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ["resnet101", "resnet50"])
def test_our_network_has_torchvisions_tensors(name: str) -> None:
    with torch.device("meta"):
        ours, theirs = ResNet(ARCHITECTURES[name], 1000), getattr(resnet, name)()
    shapes = [{key: t.shape for key, t in network.state_dict().items()} for network in (ours, theirs)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("head_size", [5, 1000])
def test_torchvisions_naming(tmp_path: Path, head_size: int) -> None:
    network = torchvision_network(head_size)
    save_file(network.state_dict(), tmp_path / "faces.safetensors")
    found = load_resnet("key", tmp_path / "faces.safetensors", FULL_WIDTH)
    assert (found.naming, found.head_size) == (NAMINGS["torchvision"], head_size)
    with torch.inference_mode():
        assert_gives(found, network(imagenet(faces())))


def test_the_authors_naming(tmp_path: Path) -> None:
    network = torchvision_network()
    renamed: Tensors = {}
    for place, (child, module) in enumerate(network.named_children()):
        for name, tensor in module.state_dict().items():
            if child == "fc":
                renamed[f"classifier_0.{name}"] = tensor
            elif child.startswith("layer"):
                *path, kind = name.split(".")
                renamed[f"features_{place}_{'_'.join(path)}.{kind}"] = tensor
            else:
                renamed[f"features_{place}.{name}"] = tensor
    assert {"features_0.weight", "features_1.running_mean", "features_4_1_conv2.weight"} <= set(renamed)
    torch.save(renamed, tmp_path / "visextnet.pth")
    found = load_resnet("key", tmp_path / "visextnet.pth", FULL_WIDTH)
    assert found.naming == NAMINGS["authors"]
    with torch.inference_mode():
        assert_gives(found, network(imagenet(faces())))


@pytest.mark.parametrize(("stride_on_first", "dtype"), [(False, torch.float32), (True, torch.float16)])
def test_a_transformers_folder_with_its_own_form_normalisation_and_precision(
    tmp_path: Path, stride_on_first: bool, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    config = ResNetConfig(
        embedding_size=8, hidden_sizes=[32, 64, 128, 256], depths=[2, 1, 1, 1], num_labels=6,
        downsample_in_bottleneck=stride_on_first,
    )  # fmt: skip
    network = shaken(ResNetForImageClassification(config)).to(dtype)
    network.save_pretrained(tmp_path)
    network.float()
    own = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4], "rescale_factor": 1 / 128}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(own))
    found = load_resnet("key", tmp_path, SMALL)
    assert (found.naming.name, found.head_size) == ("transformers", 6)
    assert {weights.dtype for weights in found.network.parameters()} == {torch.float32}
    mean, std = (torch.tensor(own[name]).view(3, 1, 1) for name in ("image_mean", "image_std"))
    with torch.inference_mode():
        assert_gives(found, network((faces() / 128 - mean) / std).logits)


def test_a_folder_of_timm_gives_its_own_normalisation(tmp_path: Path) -> None:
    tensors = small_tensors()
    save_file(tensors, tmp_path / "model.safetensors")
    own = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "input_size": [3, 224, 224]}
    config = {"architecture": "resnet101", "num_classes": 1000, "pretrained_cfg": own}
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = load_resnet("key", tmp_path, SMALL)
    assert found.naming.name == "torchvision"
    mean, std = (torch.tensor(own[name]).view(3, 1, 1) for name in ("mean", "std"))
    pixels = torch.from_numpy(np.full((1, 3, 64, 64), 51, np.uint8))
    expected = ((torch.full((3, 1, 1), 51) / 255 - mean) / std).expand(1, 3, 64, 64)
    torch.testing.assert_close(found.naming.normalisation.apply(pixels), expected)


def test_a_transformers_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    config = ResNetConfig(layer_type="basic", embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1] * 4)
    ResNetForImageClassification(config).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"config\.json asks for \{'layer_type': 'basic'\}"):
        load_resnet("key", tmp_path, SMALL)


def caffe_forward(tensors: Tensors, blocks: list[int], pixels: torch.Tensor) -> torch.Tensor:
    """VGGFace2's ResNet-50 or SE-ResNet-50, from its description, in plain functions."""

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, variance, weight, bias = (
            tensors[f"{name}.{kind}"].view(-1, 1, 1)
            for kind in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * weight + bias

    mean = torch.tensor([91.4953, 103.8827, 131.0912]).view(3, 1, 1)
    x = pixels.float()[:, [2, 1, 0]] - mean
    x = norm(F.conv2d(x, tensors["conv1.weight"], stride=2, padding=3), "bn1").clamp(min=0)
    x = F.max_pool2d(x, 3, stride=2, padding=0, ceil_mode=True)
    for group, count in enumerate(blocks, 1):
        for block in range(count):
            at = f"layer{group}.{block}"
            stride = 2 if group > 1 and block == 0 else 1
            y = norm(F.conv2d(x, tensors[f"{at}.conv1.weight"], stride=stride), f"{at}.bn1").clamp(min=0)
            y = norm(F.conv2d(y, tensors[f"{at}.conv2.weight"], padding=1), f"{at}.bn2").clamp(min=0)
            y = norm(F.conv2d(y, tensors[f"{at}.conv3.weight"]), f"{at}.bn3")
            if f"{at}.conv4.weight" in tensors:
                means = y.mean(dim=(2, 3))
                hidden = means @ tensors[f"{at}.conv4.weight"].flatten(1).T + tensors[f"{at}.conv4.bias"]
                gates = hidden.clamp(min=0) @ tensors[f"{at}.conv5.weight"].flatten(1).T
                y = y * torch.sigmoid(gates + tensors[f"{at}.conv5.bias"])[:, :, None, None]
            if block == 0:
                x = norm(
                    F.conv2d(x, tensors[f"{at}.downsample.0.weight"], stride=stride), f"{at}.downsample.1"
                )
            x = (x + y).clamp(min=0)
    return x.mean(dim=(2, 3)) @ tensors["fc.weight"].T + tensors["fc.bias"]


@pytest.mark.parametrize("architecture", [SMALL, SMALL_SE])
def test_vggface2s_naming(tmp_path: Path, architecture: Architecture) -> None:
    torch.manual_seed(0)
    tensors = shaken(ResNet(architecture, 8631, CAFFE)).state_dict()
    tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
    save_file(tensors, tmp_path / "vggface2.safetensors")
    found = load_resnet("key", tmp_path / "vggface2.safetensors", architecture)
    assert (found.naming, found.head_size) == (NAMINGS["vggface2"], 8631)
    assert_gives(found, caffe_forward(tensors, [2, 1, 1, 1], faces()))


DAG = {
    "conv1": "1x1_reduce", "conv2": "3x3", "conv3": "1x1_increase", "conv4": "1x1_down", "conv5": "1x1_up",
    "bn1": "1x1_reduce_bn", "bn2": "3x3_bn", "bn3": "1x1_increase_bn",
    "downsample.0": "1x1_proj", "downsample.1": "1x1_proj_bn",
}  # fmt: skip


@pytest.mark.parametrize("architecture", [SMALL, SMALL_SE])
def test_the_naming_of_vggs_dag_nets(tmp_path: Path, architecture: Architecture) -> None:
    """As resnet50_ferplus_dag.pth and senet50_ferplus_dag.pth have it: red first, the head a convolution."""
    torch.manual_seed(0)
    tensors = shaken(ResNet(architecture, 8, CAFFE)).state_dict()
    tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
    renamed = {}
    for name, tensor in tensors.items():
        module, _, kind = name.rpartition(".")
        stem = {"conv1": "conv1_7x7_s2", "bn1": "conv1_7x7_s2_bn", "fc": "classifier"}
        if module in stem:
            renamed[f"{stem[module]}.{kind}"] = tensor
        else:
            group, block, part = module.removeprefix("layer").split(".", 2)
            renamed[f"conv{int(group) + 1}_{int(block) + 1}_{DAG[part]}.{kind}"] = tensor
    renamed["classifier.weight"] = renamed["classifier.weight"][:, :, None, None]
    assert {"conv1_7x7_s2.weight", "conv2_2_1x1_reduce_bn.running_var", "conv5_1_1x1_proj.weight"} <= set(
        renamed
    )
    torch.save(renamed, tmp_path / "ferplus_dag.pth")
    found = load_resnet("key", tmp_path / "ferplus_dag.pth", architecture)
    assert (found.naming, found.head_size) == (NAMINGS["dag"], 8)
    red_last = tensors | {"conv1.weight": tensors["conv1.weight"].flip(1)}
    assert_gives(found, caffe_forward(red_last, [2, 1, 1, 1], faces()))


def test_an_own_network_of_8631_people_is_read_as_torchvisions_on_demand(tmp_path: Path) -> None:
    save_file(torchvision_network(8631).state_dict(), tmp_path / "own.safetensors")
    found = load_resnet("key", tmp_path / "own.safetensors", FULL_WIDTH, "torchvision")
    assert found.naming == NAMINGS["torchvision"]


@pytest.mark.parametrize("wrapper", [(), ("state_dict",), ("model", "state_dict")])
@pytest.mark.parametrize("prefix", ["", "module.", "model.backbone."])
def test_weights_are_found_inside_what_training_scripts_save(
    tmp_path: Path, wrapper: tuple[str, ...], prefix: str
) -> None:
    tensors = small_tensors()
    content: Any = {prefix + name: tensor.half() for name, tensor in tensors.items()}
    for name in wrapper:
        content = {"epoch": 3, name: content, "optimizer": {"param_groups": []}}
    torch.save(content, tmp_path / "training.pth.tar")
    found = load_resnet("key", tmp_path / "training.pth.tar", SMALL)
    assert found.naming == NAMINGS["torchvision"]
    weight = found.network.state_dict()["layer1.0.conv1.weight"]
    torch.testing.assert_close(weight, tensors["layer1.0.conv1.weight"], rtol=1e-3, atol=1e-4)


def small_tensors(head_size: int = 4) -> Tensors:
    torch.manual_seed(0)
    return ResNet(SMALL, head_size).state_dict()


def refusal(path: Path, tensors: Tensors, architecture: Architecture = SMALL) -> str:
    save_file(tensors, path / "faces.safetensors")
    with pytest.raises(UserError) as error:
        load_resnet("corpora.x.visual.weights", path / "faces.safetensors", architecture)
    assert str(error.value).startswith("corpora.x.visual.weights: ")
    assert "faces.safetensors" in str(error.value)
    return str(error.value)


def test_missing_left_over_and_misshapen_tensors_are_listed(tmp_path: Path) -> None:
    tensors = small_tensors()
    for number in range(1, 5):
        del tensors[f"layer{number}.0.bn2.bias"]
    tensors["criterion.weight"] = torch.zeros(3)
    tensors["layer2.0.conv2.weight"] = torch.zeros(16, 16, 1, 1)
    message = refusal(tmp_path, tensors)
    assert "in the naming of torchvision, does not fit a small ResNet" in message
    assert "4 missing (layer1.0.bn2.bias, layer2.0.bn2.bias, layer3.0.bn2.bias, ...)" in message
    assert "1 unexpected (criterion.weight)" in message
    assert "(layer2.0.conv2.weight [16, 16, 1, 1] instead of [16, 16, 3, 3])" in message


def test_an_error_names_the_architecture_that_the_file_looks_like(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ARCHITECTURES, "resnet50", SMALL)
    deeper = Architecture("deeper ResNet", (2, 1, 4, 1), width=8)
    message = refusal(tmp_path, small_tensors(), deeper)
    assert "missing (layer3.1.conv1.weight" in message
    assert message.endswith("it looks like architecture: resnet50")


def test_a_file_of_another_network_is_refused_with_the_namings_that_are_known(tmp_path: Path) -> None:
    message = refusal(tmp_path, {"encoder.layer.0.weight": torch.zeros(3), "head.bias": torch.zeros(3)})
    assert (
        "is no ResNet in a naming that is known (torchvision, authors, transformers, vggface2, dag)"
        in message
    )
    assert "encoder.layer.0.weight" in message


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    tensors = small_tensors()
    tensors["layer2.0.conv2.weight"][0, 0, 0, 0] = float("nan")
    assert "layer2.0.conv2.weight holds values that are no finite numbers" in refusal(tmp_path, tensors)


class Bomb:
    """What a malicious weights file looks like: opening it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("name", ["faces.pkl", "faces.pth", "zipped.pth"])
def test_a_pickle_that_holds_code_stays_closed(tmp_path: Path, name: str) -> None:
    content = {"conv1.weight": torch.zeros(3), "extra": Bomb(tmp_path / "mark")}
    if name == "zipped.pth":
        torch.save(content, tmp_path / name)
    else:
        (tmp_path / name).write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=r"key: .*could run any code .* docs/weights\.md"):
        load_resnet("key", tmp_path / name, SMALL)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", ["broken.safetensors", "broken.pth", "absent.pth", "text.pt"])
def test_a_file_that_holds_no_weights_is_told_by_its_name(tmp_path: Path, name: str) -> None:
    if name == "broken.safetensors":
        save_file(small_tensors(), tmp_path / name)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-100])
    elif name == "broken.pth":
        torch.save(small_tensors(), tmp_path / name)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:5000])
    elif name == "text.pt":
        (tmp_path / name).write_text("404: not found\n")
    with pytest.raises(UserError, match=rf"^key: .*{name}"):
        load_resnet("key", tmp_path / name, SMALL)


def test_the_documented_conversion_opens_arrays_and_nothing_else(tmp_path: Path) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "weights.md"
    script = tmp_path / "convert.py"
    script.write_text(page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0])
    arrays = {name: tensor.numpy() for name, tensor in small_tensors().items()}
    for name, content in (("good", arrays), ("bad", arrays | {"extra": Bomb(tmp_path / "mark")})):
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(content, protocol=2))
        run = subprocess.run(
            [sys.executable, str(script), f"{name}.pkl", f"{name}.safetensors"],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert (run.returncode == 0) == (name == "good"), run.stderr
    assert "is not an array" in run.stderr
    assert not (tmp_path / "mark").exists()
    converted = load_file(tmp_path / "good.safetensors")
    assert set(converted) == set(arrays)
    np.testing.assert_array_equal(converted["conv1.weight"].numpy(), arrays["conv1.weight"])
    assert load_resnet("key", tmp_path / "good.safetensors", SMALL).head_size == 4
