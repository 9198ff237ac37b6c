from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pipeline.faces.integral import crop, integral_images, resample


def pictures(count: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(height)
    return torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8, generator=generator)


def by_pytorch(images: torch.Tensor, height: int, width: int) -> torch.Tensor:
    resized = F.interpolate(images.permute(0, 3, 1, 2).float(), size=(height, width), mode="area")
    return resized.permute(0, 2, 3, 1)


@pytest.mark.parametrize(("height", "width"), [(50, 80), (49, 77), (97, 161), (100, 160), (31, 12)])
def test_a_resampled_picture_is_that_of_area_interpolation_to_the_last_bit(height: int, width: int) -> None:
    images = pictures(2, 96, 160)
    assert torch.equal(resample(integral_images(images), height, width), by_pytorch(images, height, width))


@pytest.mark.parametrize("side", [24, 48])
def test_crops_larger_and_smaller_than_their_square_are_those_of_area_interpolation(side: int) -> None:
    images = pictures(3, 120, 90)
    number = torch.tensor([0, 2, 1, 1, 0])
    corners = torch.tensor(
        [[0, 0, 90, 120], [5, 7, 6, 8], [80, 100, 90, 120], [3, 0, 44, 13], [10, 20, 34, 44]]
    )
    for cut, image, (left, top, right, bottom) in zip(
        crop(integral_images(images), number, corners, side), number, corners.tolist(), strict=True
    ):
        assert torch.equal(cut, by_pytorch(images[image : image + 1, top:bottom, left:right], side, side)[0])


def test_sums_beyond_the_range_of_their_type_still_give_means() -> None:
    white = torch.full((1, 2900, 3000, 3), 255, dtype=torch.uint8)
    assert white[..., 0].long().sum() > torch.iinfo(torch.int32).max
    assert (resample(integral_images(white), 20, 30) == 255).all()
