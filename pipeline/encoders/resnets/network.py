"""Bottleneck ResNets (He et al. 2016) in the variants that face weights files come in.

Modules are named as torchvision names them, so that its state dicts load as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

EXPANSION = 4
"""A block gives so many times more channels than its 3x3 convolution has."""
SQUEEZE_REDUCTION = 16
"""r of squeeze and excitation (Hu et al. 2018)."""


@dataclass(frozen=True)
class Architecture:
    """What a network is built of."""

    name: str
    """In plain words."""
    blocks: tuple[int, int, int, int]
    """Bottleneck blocks of each of the four groups (He et al. 2016, Table 1)."""
    squeeze: bool = False
    """Squeeze and excitation in every block (Hu et al. 2018)."""
    width: int = 64
    """Channels of the first convolution."""

    @property
    def embedding_size(self) -> int:
        """Size of the penultimate layer."""
        return EXPANSION * 8 * self.width


ARCHITECTURES = {
    "resnet101": Architecture("ResNet-101", (3, 4, 23, 3)),
    "resnet50": Architecture("ResNet-50", (3, 4, 6, 3)),
    "senet50": Architecture("SE-ResNet-50", (3, 4, 6, 3), squeeze=True),
}


@dataclass(frozen=True)
class Variant:
    """Where the first ResNets, which were trained in Caffe, differ from torchvision's."""

    stride_on_first: bool = False
    """A block halves the picture in its first 1x1 convolution instead of its 3x3."""
    ceil_pool: bool = False
    """The first max-pool has no padding and rounds its size up."""


TORCHVISION = Variant()
CAFFE = Variant(stride_on_first=True, ceil_pool=True)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution beside a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int, squeeze: bool, variant: Variant):
        super().__init__()
        outputs = EXPANSION * width
        strides = (stride, 1) if variant.stride_on_first else (1, stride)
        self.conv1 = nn.Conv2d(inputs, width, 1, strides[0], bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, strides[1], padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))
        self.squeeze = squeeze
        if squeeze:  # numbered on, as the published VGGFace2 networks have it
            self.conv4 = nn.Conv2d(outputs, outputs // SQUEEZE_REDUCTION, 1)
            self.conv5 = nn.Conv2d(outputs // SQUEEZE_REDUCTION, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[F, inputs, H, W] -> [F, outputs, H / stride, W / stride]."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        if self.squeeze:
            weights = F.relu(self.conv4(y.mean(dim=(2, 3), keepdim=True)))
            y = y * self.conv5(weights).sigmoid()
        return F.relu(y + self.downsample(x), inplace=True)


class ResNet(nn.Module):
    """Pictures to embeddings: a convolution, four groups of blocks, the mean over places, a head."""

    def __init__(self, architecture: Architecture, head_size: int, variant: Variant = Variant()):
        """``head_size`` 0 leaves the head out."""
        super().__init__()
        width = architecture.width
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 0 if variant.ceil_pool else 1, ceil_mode=variant.ceil_pool)
        inputs = width
        for group, blocks in enumerate(architecture.blocks):
            layers = []
            for block in range(blocks):
                stride = 2 if group and not block else 1
                layers.append(Bottleneck(inputs, width << group, stride, architecture.squeeze, variant))
                inputs = EXPANSION * (width << group)
            self.add_module(f"layer{group + 1}", nn.Sequential(*layers))
        self.fc = nn.Linear(inputs, head_size) if head_size else None

    def forward(self, x: Tensor, penultimate: bool = False) -> Tensor:
        """[F, 3, H, W], normalised -> [F, head size], or [F, embedding size] of the penultimate layer."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(x)), inplace=True))
        for group in range(1, 5):
            x = self.get_submodule(f"layer{group}")(x)
        embedding = x.mean(dim=(2, 3))
        return embedding if penultimate or self.fc is None else self.fc(embedding)


def build_untrained(architecture: Architecture, head_size: int, seed: int) -> ResNet:
    """A network with random weights (He et al. 2015), the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ResNet(architecture, head_size)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def fold_batch_norms(network: ResNet) -> ResNet:
    """The same network in eval mode with every batch norm folded into the convolution before it.

    A third fewer passes over memory, and equal to rounding.
    """
    network.eval()
    for module in network.modules():
        pairs = [(name, f"bn{name[4:]}") for name in ("conv1", "conv2", "conv3")]
        if isinstance(module, nn.Sequential) and isinstance(module[0], nn.Conv2d):
            pairs = [("0", "1")]
        for convolution, norm in pairs:
            if isinstance(getattr(module, norm, None), nn.BatchNorm2d):
                folded = fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
                setattr(module, convolution, folded)
                setattr(module, norm, nn.Identity())
    return network
