"""The namings in which face weights files are passed around: names of tensors, form, normalisation.

Every naming is brought to torchvision's names, which ``pipeline.encoders.resnets.network`` uses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from torch import Tensor

from pipeline.encoders.resnets.network import ARCHITECTURES, CAFFE, TORCHVISION, Architecture, Variant


@dataclass(frozen=True)
class Normalisation:
    """What a network wants in place of RGB values from 0 to 255."""

    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    scale: float = 1.0
    """Applied first; ``mean`` and ``std`` are those of scaled values."""
    bgr: bool = False
    """Whether blue comes first, in pictures as in ``mean`` and ``std``."""

    def apply(self, pixels: Tensor) -> Tensor:
        """RGB uint8 [F, 3, H, W] -> float32 [F, 3, H, W]."""
        values = (pixels.flip(1) if self.bgr else pixels).float() * self.scale
        mean, std = (values.new_tensor(given).view(3, 1, 1) for given in (self.mean, self.std))
        return (values - mean) / std


# Of ImageNet's training pictures, as torchvision documents them.
IMAGENET = Normalisation("ImageNet mean and std", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1 / 255)
# Of VGGFace2's training pictures (Cao et al. 2018), as published with their networks.
VGGFACE2 = Normalisation("VGGFace2 mean of BGR", (91.4953, 103.8827, 131.0912), bgr=True)
# The same, of VGG's nets that were converted to take red first, trained on faces and on FER+ afterwards.
VGGFACE2_RGB = Normalisation("VGGFace2 mean of RGB", (131.0912, 103.8827, 91.4953))


@dataclass(frozen=True)
class Naming:
    """How a weights file writes a ResNet down."""

    name: str
    rename: Callable[[str], str] = str
    """A tensor's name to torchvision's; a name that the naming does not know stays."""
    variant: Variant = TORCHVISION
    normalisation: Normalisation = IMAGENET


def _rename_authors(name: str) -> str:
    """VisExtNet numbers the children of torchvision's ResNet: 0 and 1 the stem, 4 to 7 the groups."""
    module, _, kind = name.rpartition(".")
    stem = {"features_0": "conv1", "features_1": "bn1", "classifier_0": "fc"}
    if module in stem:
        return f"{stem[module]}.{kind}"
    found = re.fullmatch(r"features_([4-7])_(\d+)_(conv\d|bn\d|downsample_\d)", module)
    if not found:
        return name
    child, block, part = found.groups()
    return f"layer{int(child) - 3}.{block}.{part.replace('_', '.')}.{kind}"


def _rename_transformers(name: str) -> str:
    module, _, kind = name.removeprefix("resnet.").rpartition(".")
    stem = {"embedder.embedder.convolution": "conv1", "embedder.embedder.normalization": "bn1"}
    if module in stem or module == "classifier.1":
        return f"{stem.get(module, 'fc')}.{kind}"
    place = r"encoder\.stages\.(\d+)\.layers\.(\d+)\.(?:shortcut|layer\.(\d+))\.(convolution|normalization)"
    found = re.fullmatch(place, module)
    if not found:
        return name
    stage, block, number, part = found.groups()
    if number is None:
        layer = f"downsample.{0 if part == 'convolution' else 1}"
    else:
        layer = f"{'conv' if part == 'convolution' else 'bn'}{int(number) + 1}"
    return f"layer{int(stage) + 1}.{block}.{layer}.{kind}"


def _rename_dag(name: str) -> str:
    """VGG's nets as they were converted from Caffe layer by layer: conv2_1 is the first block."""
    module, _, kind = name.rpartition(".")
    stem = {"conv1_7x7_s2": "conv1", "conv1_7x7_s2_bn": "bn1", "classifier": "fc"}
    if module in stem:
        return f"{stem[module]}.{kind}"
    found = re.fullmatch(r"conv([2-5])_(\d+)_(1x1_reduce|3x3|1x1_\w+?)(_bn)?", module)
    if not found:
        return name
    group, block, layer, norm = found.groups()
    numbers = {"1x1_reduce": 1, "3x3": 2, "1x1_increase": 3, "1x1_down": 4, "1x1_up": 5}
    if layer == "1x1_proj":
        part = f"downsample.{1 if norm else 0}"
    elif layer in numbers:
        part = f"{'bn' if norm else 'conv'}{numbers[layer]}"
    else:
        return name
    return f"layer{int(group) - 1}.{int(block) - 1}.{part}.{kind}"


NAMINGS = {
    "torchvision": Naming("torchvision"),
    "authors": Naming("MultiEMO's VisExtNet", _rename_authors),
    "transformers": Naming("transformers", _rename_transformers),
    # Converted from Caffe; the names are torchvision's.
    "vggface2": Naming("VGGFace2", str, CAFFE, VGGFACE2),
    "dag": Naming("VGG's *_dag nets", _rename_dag, CAFFE, VGGFACE2_RGB),
}
VGGFACE2_IDENTITIES = 8631


def recognise(names: Collection[str], head_size: int, architecture: Architecture) -> str | None:
    """The naming of a weights file, a key of NAMINGS, by its tensors' names; None if it is none of them.

    The published VGGFace2 networks have torchvision's names.  They are told by squeeze and excitation,
    which torchvision's do not have, or by a ResNet-50's head for 8631 people.
    """
    for key in ("torchvision", "authors", "transformers", "dag"):
        if "conv1.weight" in map(NAMINGS[key].rename, names):
            published = head_size == VGGFACE2_IDENTITIES and architecture != ARCHITECTURES["resnet101"]
            vggface2 = key == "torchvision" and (architecture.squeeze or published)
            return "vggface2" if vggface2 else key
    return None
