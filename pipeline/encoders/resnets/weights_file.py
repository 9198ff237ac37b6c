"""The one door for face weights: read a file without running its code, recognise it, check all of it.

docs/weights.md tells users what may come in.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.encoders.resnets.namings import NAMINGS, Naming, Normalisation, recognise
from pipeline.encoders.resnets.network import ARCHITECTURES, Architecture, ResNet, Variant
from pipeline.errors import UserError

AUTO = "auto"
SHOWN = 3
"""How many names an error lists of each kind."""

# Where training scripts put the weights when they save more than these.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "weights")


@dataclass(frozen=True)
class ResNetFile:
    """A network as its file describes it."""

    network: ResNet
    """In eval mode, on the CPU, float32."""
    naming: Naming
    head_size: int
    """0 where the file holds no head."""


def load_resnet(key: str, path: Path, architecture: Architecture, naming: str = AUTO) -> ResNetFile:
    """The network in a weights file, or in a folder as transformers writes it.

    ``key`` is the param that names it, for errors; ``naming`` a key of NAMINGS, or ``auto``.  UserError
    if the file cannot be read safely, is in no known naming, or does not fit the architecture in every
    tensor's name and shape.
    """
    file = path / "model.safetensors" if path.is_dir() else path
    tensors = _strip_prefix(read_tensors(key, file))
    found = recognise(tensors, _head_size(tensors), architecture) if naming == AUTO else naming
    if found is None:
        names = ", ".join(list(tensors)[:SHOWN])
        raise UserError(
            f"{key}: {file} is no ResNet in a naming that is known ({', '.join(NAMINGS)});"
            f" its tensors are {names}, ...; docs/weights.md shows each naming"
        )
    form = NAMINGS[found]
    if path.is_dir():
        form = _read_config(key, path, form)
    state = {form.rename(name): tensor for name, tensor in tensors.items()}
    if "fc.weight" in state:  # in Caffe's form a convolution of 1x1
        state["fc.weight"] = state["fc.weight"].flatten(1)
    head_size = _head_size(state)
    with torch.device("meta"):
        network = ResNet(architecture, head_size, form.variant)
    _check(key, file, state, network, form, architecture)
    _fill(network, state)
    return ResNetFile(network.eval(), form, head_size)


def fill_network(key: str, path: Path, network: nn.Module, name: str, left_out: str | None = None) -> None:
    """Put the weights of a file, or of ``model.safetensors`` in a folder, into a network on the meta device.

    Those whose names begin with ``left_out`` stay out.  UserError, calling the network ``name``, unless the
    file has exactly its other weights.
    """
    file = path / "model.safetensors" if path.is_dir() else path
    tensors = read_tensors(key, file)
    if left_out is not None:
        tensors = {each: tensor for each, tensor in tensors.items() if not each.startswith(left_out)}
    shapes = _shapes(network)
    odd = [
        each for each in shapes | tensors if each not in tensors or tensors[each].shape != shapes.get(each)
    ]
    if odd:
        raise UserError(
            f"{key}: {file} does not fit {name}: {len(odd)} weights are missing, left over or of another"
            f" shape ({', '.join(odd[:SHOWN])}, ...)"
        )
    _fill(network, tensors)


def _fill(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """``state`` lacks batch norm's counters."""
    counters = {name: torch.tensor(0) for name in network.state_dict() if _is_counter(name)}
    network.load_state_dict({**state, **counters}, assign=True)


def _shapes(network: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in network.state_dict().items() if not _is_counter(name)}


def read_tensors(key: str, path: Path) -> dict[str, Tensor]:
    """Every tensor of a weights file by name, float32; no code in the file is run.

    Batch norm's counters of training steps are left out.  UserError if that cannot be done.
    """
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        elif path.suffix in (".pkl", ".pickle"):
            raise pickle.UnpicklingError("a bare pickle")
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{key}: no weights file {path}") from None
    except pickle.UnpicklingError as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{key}: {path} is a pickle that holds more than tensors, and opening it could run any code in"
            f" it, so it stays closed ({reason[:200]}); convert it to .safetensors once, as"
            " docs/weights.md shows"
        ) from None
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{key}: {path} cannot be read as weights ({reason})") from error
    tensors = {name: value for name, value in _unwrap(content).items() if not _is_counter(name)}
    if not tensors or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise UserError(f"{key}: {path} holds no table of tensors by name, such as model.state_dict()")
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise UserError(f"{key}: {path}: {name} holds values that are no finite numbers")
    return {name: tensor.float() for name, tensor in tensors.items()}


def _unwrap(content: Any) -> Mapping[str, Any]:
    while isinstance(content, Mapping):
        inner = next((content[name] for name in _WRAPPERS if isinstance(content.get(name), Mapping)), None)
        if inner is None:
            return content
        content = inner
    return {}


def _strip_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without what all begin with, such as ``module.`` of DataParallel."""
    prefixes = {name.rpartition(".")[0].partition(".")[0] for name in tensors}
    if len(prefixes) > 1 or "" in prefixes:
        return tensors
    return _strip_prefix({name.partition(".")[2]: tensor for name, tensor in tensors.items()})


def _head_size(tensors: Mapping[str, Tensor]) -> int:
    names = ("fc.weight", "classifier_0.weight", "classifier.1.weight", "classifier.weight")
    return next((len(tensors[name]) for name in names if name in tensors), 0)


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _check(
    key: str, file: Path, state: Mapping[str, Tensor], network: ResNet, form: Naming, wanted: Architecture
) -> None:
    """UserError, listing the first of each kind, unless the state has the network's names and shapes."""
    expected = _shapes(network)
    problems = {
        "missing": [name for name in expected if name not in state],
        "unexpected": [name for name in state if name not in expected],
        "of another shape": [
            f"{name} {list(state[name].shape)} instead of {list(shape)}"
            for name, shape in expected.items()
            if name in state and state[name].shape != shape
        ],
    }
    if not any(problems.values()):
        return
    listed = "; ".join(
        f"{len(names)} {kind} ({', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''})"
        for kind, names in problems.items()
        if names
    )
    hint = "".join(
        f"; it looks like architecture: {name}"
        for name, architecture in ARCHITECTURES.items()
        if architecture != wanted and _structure(state) == (architecture.blocks, architecture.squeeze)
    )
    raise UserError(
        f"{key}: {file}, in the naming of {form.name}, does not fit a {wanted.name}: {listed}{hint}"
    )


def _structure(state: Mapping[str, Tensor]) -> tuple[tuple[int, ...], bool]:
    """Blocks of each group, and whether they squeeze."""
    places = [re.match(r"layer(\d)\.(\d+)\.", name) for name in state]
    blocks = [{place[2] for place in places if place and place[1] == group} for group in "1234"]
    return tuple(map(len, blocks)), "layer1.0.conv4.weight" in state


def _read_config(key: str, folder: Path, naming: Naming) -> Naming:
    """The naming with the form and normalisation that the files of a folder of transformers or timm name."""
    config = _read_json(key, folder / "config.json")
    if isinstance(of_timm := config.get("pretrained_cfg"), dict):
        mean, std = tuple(of_timm["mean"]), tuple(of_timm["std"])
        return replace(naming, normalisation=Normalisation("timm's mean and std", mean, std, 1 / 255))
    defaults = {"model_type": "resnet", "layer_type": "bottleneck", "hidden_act": "relu"}
    refused = {name: config[name] for name, only in defaults.items() if config.get(name, only) != only}
    if config.get("downsample_in_first_stage"):
        refused["downsample_in_first_stage"] = True
    if refused:
        raise UserError(
            f"{key}: {folder}/config.json asks for {refused}; a {NAMINGS['transformers'].name} model must be"
            f" a ResNet with {defaults}"
        )
    variant = Variant(stride_on_first=bool(config.get("downsample_in_bottleneck")))
    normalisation = naming.normalisation
    if (folder / "preprocessor_config.json").is_file():
        wanted = _read_json(key, folder / "preprocessor_config.json")
        normalisation = Normalisation(
            "the mean and std of preprocessor_config.json",
            tuple(wanted.get("image_mean", normalisation.mean)),
            tuple(wanted.get("image_std", normalisation.std)),
            float(wanted.get("rescale_factor", normalisation.scale)),
        )
    return replace(naming, variant=variant, normalisation=normalisation)


def _read_json(key: str, path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{key}: {path} cannot be read ({error})") from None
