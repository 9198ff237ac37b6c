"""Means over rectangles of pictures, exact and quick, from integral images.

A detector asks for thousands of rectangles at many scales.  In an integral image the sum over any of
them is four reads, and as the sums of 8-bit values are whole numbers, nothing is rounded on the way.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def integral_images(images: Tensor) -> Tensor:
    """uint8 [N, H, W, 3] -> int32 [N, H+1, W+1, 3]: the sum of all pixels above and to the left.

    The sums of more than 8 megapixels may overflow; their differences come right again.
    """
    if images.is_cuda:
        return F.pad(images.cumsum(1, dtype=torch.int32).cumsum(2, dtype=torch.int32), (0, 0, 1, 0, 1, 0))
    return torch.from_numpy(np.stack([cv2.integral(image) for image in images.numpy()]))


def resample(integrals: Tensor, height: int, width: int) -> Tensor:
    """Whole pictures at another size, float32 [N, height, width, 3] in [0, 255].

    To the last bit what ``torch.nn.functional.interpolate`` gives with ``mode="area"``.
    """
    top, bottom = _windows(integrals.new_tensor(integrals.shape[1] - 1), height)
    left, right = _windows(integrals.new_tensor(integrals.shape[2] - 1), width)
    sums = integrals.index_select(1, bottom).sub_(integrals.index_select(1, top))
    columns = sums.flatten(0, 1)  # of three dimensions PyTorch takes pixels much faster than of four
    sums = columns.index_select(1, right).sub_(columns.index_select(1, left)).unflatten(0, sums.shape[:2])
    return _means(sums, bottom - top, right - left)


def crop(integrals: Tensor, image: Tensor, corners: Tensor, side: int) -> Tensor:
    """Rectangles of pictures, each resampled to a square: float32 [B, side, side, 3] in [0, 255].

    ``image`` int64 [B] numbers the pictures; ``corners`` int64 [B, 4] are left, top, right and bottom,
    within the picture, none empty.
    """
    left, right = (x + corners[:, 0, None] for x in _windows(corners[:, 2] - corners[:, 0], side))
    top, bottom = (y + corners[:, 1, None] for y in _windows(corners[:, 3] - corners[:, 1], side))
    _, rows, columns, channels = integrals.shape
    pixels = integrals.view(-1, channels)

    def above_left_of(y: Tensor, x: Tensor) -> Tensor:
        place = ((image[:, None] * rows + y) * columns)[:, :, None] + x[:, None, :]
        return pixels.index_select(0, place.flatten()).view(*place.shape, channels)

    sums = above_left_of(bottom, right).sub_(above_left_of(top, right))
    sums.sub_(above_left_of(bottom, left)).add_(above_left_of(top, left))
    return _means(sums, bottom - top, right - left)


def _windows(pixels: Tensor, parts: int) -> tuple[Tensor, Tensor]:
    """Where each part of sides of [...] pixels starts and ends, [..., parts], as in adaptive pooling."""
    number = torch.arange(parts, device=pixels.device)
    pixels = pixels[..., None]
    return number * pixels // parts, -(-(number + 1) * pixels // parts)


def _means(sums: Tensor, heights: Tensor, widths: Tensor) -> Tensor:
    """[N, H, W, 3] sums over windows of these heights [(N,) H] and widths [(N,) W] -> their means."""
    # Divided in the order in which PyTorch's pooling does; three channels side by side make long rows.
    means = sums.flatten(2).float()
    means.div_(heights[..., None]).div_(widths.repeat_interleave(sums.shape[3], dim=-1)[..., None, :])
    return means.view(sums.shape)
