"""The three networks of MTCNN: facenet-pytorch's layers and weights, arranged for speed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from facenet_pytorch import ONet, PNet, RNet
from torch import Tensor, nn

# The proposal network looks at squares of 12 px, every 2 px.
CELL_PX = 12
STRIDE_PX = 2
# Rows of the proposal network's output that a CPU computes at a time, so that they stay in its cache.
BAND_ROWS = 64
# Squares judged at a time; bounds memory in pictures of crowds.
BATCH_SQUARES = 128


class ProposalNetwork(nn.Module):
    """P-Net, which says of every cell of a picture how likely it is a face, and where exactly."""

    def __init__(self) -> None:
        super().__init__()
        net = PNet()
        self._features = _convolutions(
            *(net.conv1, net.prelu1, net.pool1, net.conv2, net.prelu2, net.conv3, net.prelu3)
        )
        # Of two classes only the difference of their logits counts.
        self._face = nn.Linear(32, 1)
        self._face.weight.data = net.conv4_1.weight.data.flatten(1).diff(dim=0)
        self._face.bias.data = net.conv4_1.bias.data.diff()
        self._regression = nn.Linear(32, 4)
        self._regression.weight.data = net.conv4_2.weight.data.flatten(1)
        self._regression.bias.data = net.conv4_2.bias.data

    def forward(self, pixels: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
        """Cells of pictures [N, H, W, 3] in [0, 255] whose probability of a face reaches the threshold.

        Gives picture, row and column [B, 3], probability [B] and regression [B, 4] of each.
        """
        height = pixels.shape[1]
        rows = (height - 1) // 2 - 4
        step = rows if pixels.is_cuda else BAND_ROWS
        found = []
        for top in range(0, rows, step):
            bottom = min(top + step, rows)
            # The last band needs the picture's last row, half a pooling window at odd heights.
            end = height if bottom == rows else STRIDE_PX * (bottom - 1) + CELL_PX
            features = self._features(_normalise(pixels[:, STRIDE_PX * top : end])).permute(0, 2, 3, 1)
            probability = torch.sigmoid(self._face(features)[..., 0])
            cells = (probability >= threshold).nonzero()
            places = cells.unbind(1)
            # Regression is wanted of few cells only.
            regression = self._regression(features[places])
            found.append((cells + cells.new_tensor([0, top, 0]), probability[places], regression))
        cells, probability, regression = map(torch.cat, zip(*found, strict=True))
        return cells, probability, regression


class JudgingNetwork(nn.Module):
    """R-Net or O-Net, which says of a square how likely it is a face, where exactly, and its landmarks."""

    def __init__(self, side: int, convolutions: nn.Module, dense: nn.Module, heads: list[nn.Module]) -> None:
        super().__init__()
        self.side = side
        """Pixels of a side of the square."""
        self._convolutions, self._dense, self._heads = convolutions, dense, nn.ModuleList(heads)

    @classmethod
    def refinement(cls) -> JudgingNetwork:
        """R-Net: logits of no face and face [B, 2], regression [B, 4]."""
        net = RNet()
        convolutions = _convolutions(
            *(net.conv1, net.prelu1, net.pool1, net.conv2, net.prelu2, net.pool2, net.conv3, net.prelu3)
        )
        return cls(24, convolutions, nn.Sequential(net.dense4, net.prelu4), [net.dense5_1, net.dense5_2])

    @classmethod
    def output(cls) -> JudgingNetwork:
        """O-Net: logits of no face and face [B, 2], regression [B, 4], landmarks [B, 10]."""
        net = ONet()
        convolutions = _convolutions(
            *(net.conv1, net.prelu1, net.pool1, net.conv2, net.prelu2, net.pool2),
            *(net.conv3, net.prelu3, net.pool3, net.conv4, net.prelu4),
        )
        heads = [net.dense6_1, net.dense6_2, net.dense6_3]
        return cls(48, convolutions, nn.Sequential(net.dense5, net.prelu5), heads)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """What the heads say of squares [B, side, side, 3] in [0, 255], the first as a probability [B]."""
        features = self._convolutions(_normalise(pixels))
        hidden = self._dense(features.permute(0, 3, 2, 1).flatten(1))  # the weights' order: column by column
        logits, *rest = (head(hidden) for head in self._heads)
        return [logits.softmax(dim=1)[:, 1], *rest]


def _convolutions(*layers: nn.Module) -> nn.Sequential:
    """The layers in channels-last order, with channels of weight zero added up to a multiple of 16.

    That makes whole vectors for the processor and changes no sum; what comes out has no such channel.
    """
    channels = real_channels = 3
    arranged = []
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            real_channels = layer.out_channels
            added = -real_channels % 16
            kernel = F.pad(layer.weight, (0, 0, 0, 0, 0, channels - layer.in_channels, 0, added))
            layer.weight = nn.Parameter(kernel.contiguous(memory_format=torch.channels_last))
            layer.bias = nn.Parameter(F.pad(layer.state_dict()["bias"], (0, added)))
            channels = len(kernel)
        elif isinstance(layer, nn.PReLU):
            layer.weight = nn.Parameter(F.pad(layer.weight, (0, channels - len(layer.weight))))
        elif layer.kernel_size == 2:
            layer, channels = HalvingPool(real_channels), real_channels
        arranged.append(layer)
    return nn.Sequential(*arranged)


class HalvingPool(nn.Module):
    """``nn.MaxPool2d(2, 2, ceil_mode=True)`` of the first channels, several times as fast on a CPU.

    PyTorch's also finds where each maximum was.  Here rows and then columns are compared in pairs, and
    channels that were added for the convolution before cost nothing after it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self._channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, channels, H / 2, W / 2], rounded up, in channels-last order."""
        if x.is_cuda:  # where launches cost most
            return F.max_pool2d(x[:, : self._channels], 2, 2, ceil_mode=True)
        rows = _maxima_of_pairs(x.permute(0, 2, 3, 1), dim=1)
        return _maxima_of_pairs(rows[..., : self._channels], dim=2).permute(0, 3, 1, 2)


def _maxima_of_pairs(x: Tensor, dim: int) -> Tensor:
    """The greater of each two neighbours along a dimension; a last one without a neighbour as it is."""
    pairs, single = divmod(x.shape[dim], 2)
    maxima = x.new_empty([*x.shape[:dim], pairs + single, *x.shape[dim + 1 :]])
    first, second = x.narrow(dim, 0, 2 * pairs).unflatten(dim, (pairs, 2)).unbind(dim + 1)
    torch.maximum(first, second, out=maxima.narrow(dim, 0, pairs))
    if single:
        maxima.select(dim, pairs).copy_(x.select(dim, 2 * pairs))
    return maxima


def _normalise(pixels: Tensor) -> Tensor:
    """[N, H, W, 3] in [0, 255] -> [N, 3, H, W] in [-1, 1], which lies in memory as before."""
    return ((pixels - 127.5) * 0.0078125).permute(0, 3, 1, 2)
