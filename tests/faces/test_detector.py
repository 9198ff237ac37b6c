from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from facenet_pytorch import MTCNN
from PIL import Image
from skimage import data

from pipeline.faces.detector import FaceDetector, Faces
from pipeline.faces.networks import HalvingPool
from pipeline.manifest import Medium
from pipeline.media.frames import read_frames
from pipeline.params import FacesParams


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def detector(params: FacesParams) -> FaceDetector:
    return FaceDetector(params.min_face_size_px, params.thresholds, params.scale_factor)


def by_facenet_pytorch(image: np.ndarray, params: FacesParams) -> Faces:
    reference = MTCNN(
        keep_all=True,
        min_face_size=params.min_face_size_px,
        thresholds=list(params.thresholds),
        factor=params.scale_factor,
    )
    found = (values.astype(np.float32) for values in reference.detect(image, landmarks=True))
    boxes, probabilities, landmarks = found
    return Faces(np.zeros(len(boxes), np.int64), boxes, probabilities, landmarks)


def astronaut(width: int = 512, height: int = 512) -> np.ndarray:
    return np.asarray(Image.fromarray(data.astronaut()).resize((width, height)))


def close_up(left: int, top: int, side: int, shown_px: int) -> np.ndarray:
    """A square of the astronaut's face, scaled up: it fills the picture."""
    part = Image.fromarray(data.astronaut()[top : top + side, left : left + side])
    return np.asarray(part.resize((shown_px, shown_px), Image.Resampling.BICUBIC))


def crowd() -> np.ndarray:
    """A hundred small photographs of faces side by side, one of each size from 40 to 90 px a row."""
    rows = []
    for number in range(10):
        side = 40 + 5 * number
        tiles = (data.lfw_subset()[number * 10 : number * 10 + 10] * 255).astype(np.uint8)
        row = np.hstack([np.asarray(Image.fromarray(tile).resize((side, side))) for tile in tiles])
        rows.append(np.pad(row, ((0, 0), (0, 900 - row.shape[1]))))
    return np.repeat(np.vstack(rows)[..., None], 3, axis=2)


def overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of one box [4] with each of [F, 4]."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    return shared / ((box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - shared)


def assert_same_faces(found: Faces, expected: Faces) -> None:
    assert len(found.box_px) == len(expected.box_px) > 0
    for box, probability, landmarks in zip(*found[1:], strict=True):
        overlaps = overlap(box, expected.box_px)
        place = int(overlaps.argmax())
        assert overlaps[place] >= 0.98
        assert probability == pytest.approx(expected.probability[place], abs=1e-4)
        np.testing.assert_allclose(landmarks, expected.landmarks_px[place], atol=0.1)


@pytest.mark.parametrize(
    ("image", "params"),
    [
        pytest.param(astronaut(), FacesParams(), id="photograph"),
        pytest.param(astronaut(640, 361), FacesParams(min_face_size_px=31), id="odd height"),
        pytest.param(astronaut()[60:150, 200:300], FacesParams(), id="face cut off by the picture's edges"),
        pytest.param(crowd(), FacesParams(), id="crowd"),
        pytest.param(crowd(), FacesParams(min_face_size_px=12, scale_factor=0.5), id="crowd at full size"),
        pytest.param(crowd()[:300], FacesParams(thresholds=(0.3, 0.3, 0.1)), id="much taken for a face"),
        pytest.param(data.coffee(), FacesParams(thresholds=(0.4, 0.2, 0.01)), id="no face, low thresholds"),
    ],
)
def test_the_faces_are_those_of_facenet_pytorch(image: np.ndarray, params: FacesParams) -> None:
    assert_same_faces(detector(params).detect([image]), by_facenet_pytorch(image, params))


@pytest.mark.parametrize(
    ("left", "top", "side", "shown_px"),
    [
        (181, 83, 179, 388),
        (187, 74, 148, 854),
        (180, 79, 160, 436),
        (176, 64, 117, 868),
        (178, 68, 103, 883),
        (178, 85, 166, 839),
        (189, 74, 118, 278),
        (160, 60, 130, 640),
        (150, 60, 140, 214),
    ],
)
def test_of_equally_likely_boxes_on_a_close_up_the_one_of_facenet_pytorch_stays(
    left: int, top: int, side: int, shown_px: int
) -> None:
    image = close_up(left, top, side, shown_px)
    assert_same_faces(detector(FacesParams()).detect([image]), by_facenet_pytorch(image, FacesParams()))


def test_the_faces_of_the_demo_are_those_of_facenet_pytorch(demo_root: Path, sound_clip: Medium) -> None:
    [(_, frames)] = read_frames(demo_root / sound_clip.path, 3)
    for image in frames.images:
        assert_same_faces(detector(FacesParams()).detect([image]), by_facenet_pytorch(image, FacesParams()))


def test_a_picture_has_the_same_faces_alone_and_among_others_of_any_size() -> None:
    images = [
        astronaut(),
        astronaut(300, 300),
        astronaut()[:, ::-1],
        np.zeros((90, 90, 3), np.uint8),
        crowd()[:200],
    ]
    together = detector(FacesParams()).detect(images)
    for number, image in enumerate(images):
        alone = detector(FacesParams()).detect([image])
        mine = together.image == number
        assert mine.sum() == len(alone.box_px)
        for name in ("box_px", "probability", "landmarks_px"):
            np.testing.assert_array_equal(getattr(together, name)[mine], getattr(alone, name))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_finds_the_faces_that_a_cpu_finds() -> None:
    images = [astronaut(), astronaut()[:, ::-1], crowd()[:512, :512]]
    found = FaceDetector(device="cuda").detect(images)
    for number, image in enumerate(images):
        mine = Faces(*(values[found.image == number] for values in found))
        assert_same_faces(mine, detector(FacesParams()).detect([image]))


@pytest.mark.parametrize(("height", "width"), [(8, 6), (7, 6), (8, 5), (5, 9), (1, 2)])
def test_halving_is_max_pooling_that_rounds_up(height: int, width: int) -> None:
    x = torch.randn(2, 16, height, width, generator=torch.Generator().manual_seed(0))
    x = x.contiguous(memory_format=torch.channels_last)
    halved = HalvingPool(10)(x)
    assert torch.equal(halved, torch.nn.MaxPool2d(2, 2, ceil_mode=True)(x)[:, :10])
    assert halved.is_contiguous(memory_format=torch.channels_last)


def test_faces_come_picture_by_picture_and_the_largest_first() -> None:
    faces = detector(FacesParams(min_face_size_px=40)).detect([crowd(), astronaut(), crowd()])
    assert (np.diff(faces.image) >= 0).all()
    area = (faces.box_px[:, 2:] - faces.box_px[:, :2]).prod(axis=1)
    assert (np.diff(area)[np.diff(faces.image) == 0] <= 0).all()


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.zeros((19, 300, 3), np.uint8), id="smaller than the smallest face"),
        pytest.param(np.full((64, 64, 3), 255, np.uint8), id="nothing that could be a face"),
    ],
)
def test_a_picture_without_a_face_gives_none_in_the_right_shapes(image: np.ndarray) -> None:
    faces = detector(FacesParams()).detect([image, image])
    assert [values.shape for values in faces] == [(0,), (0, 4), (0,), (0, 5, 2)]
    assert [values.dtype for values in faces] == [np.int64, np.float32, np.float32, np.float32]
