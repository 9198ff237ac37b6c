"""Pictures on their way into networks."""

from __future__ import annotations

from torch import Tensor


def resized(pixels: Tensor, size_px: int, filter_name: str = "BILINEAR") -> Tensor:
    """Square pictures uint8 [F, 3, H, H] as [F, 3, size_px, size_px], with antialiasing, all edges kept.

    ``filter_name`` is Pillow's.  Pictures of that size already stay as they are.
    """
    if pixels.shape[-1] == size_px:
        return pixels
    from torchvision.transforms.v2.functional import InterpolationMode, resize

    smaller: Tensor = resize(pixels, [size_px, size_px], InterpolationMode[filter_name], antialias=True)
    return smaller
