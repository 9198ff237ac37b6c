"""Face detection with MTCNN: facenet-pytorch's weights and results, several times as fast on a CPU.

The cascade is that of Zhang et al. 2016 as facenet-pytorch runs it: a proposal network slides over an
image pyramid, a refinement and an output network judge what it proposes.  What makes it faster:

- The pyramid and all crops are means over rectangles, taken from one integral image per picture.
- A CPU works off one picture after the other, in bands that fit its cache, in channels-last order; on a
  GPU, where launches cost most, all pictures go through together.
- Work is left out that nothing asks for: regression of cells without a face, indices of pooling.

None of this changes a value by more than the rounding of float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import batched_nms

from pipeline.faces.integral import crop, integral_images, resample
from pipeline.faces.networks import BATCH_SQUARES, CELL_PX, STRIDE_PX, JudgingNetwork, ProposalNetwork

# Largest overlap (intersection over union) of two boxes that both stay: within a level of the pyramid
# and after each network; in the end, of the smaller box's area.
LEVEL_OVERLAP = 0.5
OVERLAP = 0.7
# Pixels that go through a GPU at a time: 20 pictures of 720p take about 1 GB.
BATCH_PIXELS = 20 * 1280 * 720


class Faces(NamedTuple):
    """Faces in a sequence of pictures: picture by picture, the largest first, then from left to right."""

    image: np.ndarray
    """int64 [F]: number of the picture."""
    box_px: np.ndarray
    """float32 [F, 4]: left, top, right, bottom; may reach beyond the picture."""
    probability: np.ndarray
    """float32 [F]."""
    landmarks_px: np.ndarray
    """float32 [F, 5, 2]: x and y of left eye, right eye, nose, left and right corner of the mouth, as
    the viewer sees them."""


class FaceDetector:
    """MTCNN on one device; the arguments are those of facenet-pytorch's MTCNN.

    A face's values depend on its picture alone on a CPU, and on the pictures given with it on a GPU,
    where libraries choose their algorithm by the size of the batch.
    """

    def __init__(
        self,
        min_face_size_px: float = 20,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
        scale_factor: float = 0.709,
        device: str = "cpu",
    ) -> None:
        self._min_face_size_px, self._scale_factor = min_face_size_px, scale_factor
        self._thresholds = thresholds
        self._device = torch.device(device)
        self._propose = ProposalNetwork().to(self._device)
        self._refine = JudgingNetwork.refinement().to(self._device)
        self._output = JudgingNetwork.output().to(self._device)

    def detect(self, images: Sequence[np.ndarray]) -> Faces:
        """Faces in RGB pictures, each uint8 [height, width, 3]."""
        found: list[tuple[Tensor, ...]] = [_no_faces(self._device)]
        first = 0
        with torch.inference_mode():
            for (height, width, _), alike in groupby(images, key=np.shape):
                while batch := list(islice(alike, self._batch_size(height, width))):
                    pictures = torch.from_numpy(np.stack(batch)).to(self._device)
                    image, *faces = self._detect(integral_images(pictures))
                    found.append((image + first, *faces))
                    first += len(batch)
        return _in_order(*(torch.cat(parts).cpu().numpy() for parts in zip(*found, strict=True)))

    def _batch_size(self, height_px: int, width_px: int) -> int:
        """How many pictures go through the networks at a time."""
        return 1 if self._device.type == "cpu" else max(1, BATCH_PIXELS // (height_px * width_px))

    def _detect(self, integrals: Tensor) -> tuple[Tensor, ...]:
        """Faces in pictures of one size, given by their integral images, in any order."""
        image, boxes = self._proposals(integrals)

        image, boxes, score, regression = _judge(self._refine, self._thresholds[1], integrals, image, boxes)
        kept = batched_nms(boxes, score, image, OVERLAP)
        image, boxes = image[kept], _square(_shift(boxes[kept], regression[kept], edge_px=1))

        image, boxes, score, regression, points = _judge(
            self._output, self._thresholds[2], integrals, image, boxes
        )
        # x of the five points, then y, as fractions of the square.
        side = (boxes[:, 2:] - boxes[:, :2] + 1)[:, None]
        landmarks = side * points.view(-1, 2, 5).mT + boxes[:, None, :2] - 1
        boxes = _shift(boxes, regression, edge_px=1)
        kept = _not_within_another(image, boxes, score)
        return image[kept], boxes[kept], score[kept], landmarks[kept]

    def _proposals(self, integrals: Tensor) -> tuple[Tensor, Tensor]:
        """Squares [B, 4] that may hold a face, and the pictures [B] that they are in."""
        image, boxes, score, _ = _no_faces(self._device)
        found = [(image, boxes, score, torch.empty_like(boxes))]
        _, height, width, _ = (size - 1 for size in integrals.shape)
        for scale in self._scales(min(height, width)):
            level = resample(integrals, int(height * scale + 1), int(width * scale + 1))
            cells, score, regression = self._propose(level, self._thresholds[0])
            corner = cells[:, [2, 1]].float() * STRIDE_PX + 1
            boxes = torch.cat([corner / scale, (corner + CELL_PX - 1) / scale], dim=1).floor()
            kept = batched_nms(boxes, score, cells[:, 0], LEVEL_OVERLAP)
            found.append((cells[kept, 0], boxes[kept], score[kept], regression[kept]))
        image, boxes, score, regression = map(torch.cat, zip(*found, strict=True))
        kept = batched_nms(boxes, score, image, OVERLAP)
        return image[kept], _square(_shift(boxes[kept], regression[kept], edge_px=0))

    def _scales(self, side_px: int) -> Iterator[float]:
        """Scales of the pyramid: from that at which the smallest face fills a cell, downwards."""
        scale = CELL_PX / self._min_face_size_px
        side = side_px * scale
        while side >= CELL_PX:
            yield scale
            scale, side = scale * self._scale_factor, side * self._scale_factor


def _judge(
    network: JudgingNetwork, threshold: float, integrals: Tensor, image: Tensor, boxes: Tensor
) -> list[Tensor]:
    """Of the boxes in these pictures those that pass: picture, box, probability, and the other outputs."""
    _, height, width, _ = (size - 1 for size in integrals.shape)
    corners = boxes.trunc().long()
    # Coordinates count from 1, and the far edge is part of the box, as in the authors' Matlab.
    corner = corners[:, :2].clamp(min=1) - 1
    corners = torch.cat([corner, corners[:, 2:].minimum(corners.new_tensor([width, height]))], dim=1)
    inside = (corners[:, 2:] > corners[:, :2]).all(dim=1)
    image, boxes, corners = image[inside], boxes[inside], corners[inside]
    batches = zip(image.split(BATCH_SQUARES), corners.split(BATCH_SQUARES), strict=True)
    outputs = [network(crop(integrals, *batch, network.side)) for batch in batches]
    values = [image, boxes, *(torch.cat(parts) for parts in zip(*outputs, strict=True))]
    passed = values[2] > threshold
    return [value[passed] for value in values]


def _shift(boxes: Tensor, regression: Tensor, edge_px: int) -> Tensor:
    """Boxes with each edge moved by a fraction of the side, to which ``edge_px`` are added."""
    size = boxes[:, 2:] - boxes[:, :2] + edge_px
    return boxes + regression * size.repeat(1, 2)


def _square(boxes: Tensor) -> Tensor:
    """Squares of the longer side around the same centres."""
    size = boxes[:, 2:] - boxes[:, :2]
    side = size.amax(dim=1, keepdim=True)
    corner = boxes[:, :2] + size * 0.5 - side * 0.5
    return torch.cat([corner, corner + side], dim=1)


def _not_within_another(image: Tensor, boxes: Tensor, score: Tensor) -> Tensor:
    """Places of the boxes that share no more than OVERLAP of the smaller one's area with a likelier one.

    Close to a face the network is so sure that several boxes have the same float32 probability.  Which of
    them stays is a matter of order: that of facenet-pytorch, numpy's own sort read from its end.
    """
    size = boxes[:, 2:] - boxes[:, :2] + 1
    low = torch.maximum(boxes[:, None, :2], boxes[:, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[:, 2:])
    shared = (high - low + 1).clamp(min=0).prod(dim=2)
    area = size.prod(dim=1)
    too_near = (shared / torch.minimum(area[:, None], area) > OVERLAP) & (image[:, None] == image)
    near = too_near.cpu().numpy()
    kept: list[int] = []
    for place in score.cpu().numpy().argsort()[::-1].tolist():
        if not near[place, kept].any():
            kept.append(place)
    return torch.tensor(kept, dtype=torch.long, device=boxes.device)


def _no_faces(device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """No pictures, boxes, probabilities and landmarks, in their shapes."""
    image = torch.empty(0, dtype=torch.long, device=device)
    boxes, probability, landmarks = (torch.empty(s, device=device) for s in ((0, 4), (0,), (0, 5, 2)))
    return image, boxes, probability, landmarks


def _in_order(image: np.ndarray, boxes: np.ndarray, probability: np.ndarray, landmarks: np.ndarray) -> Faces:
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    order = np.lexsort((boxes[:, 1], boxes[:, 0], -area, image))
    return Faces(image[order], boxes[order], probability[order], landmarks[order])
