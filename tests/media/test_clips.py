from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from pipeline.manifest import Medium
from pipeline.media.clips import image_clip, map_ahead
from pipeline.media.frames import SampledFrames, iterate_frames


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_the_order_of_their_items(threads: int) -> None:
    assert list(map_ahead(str, range(20), threads)) == [str(number) for number in range(20)]


def test_the_next_results_are_computed_while_one_is_in_use() -> None:
    second_is_done = threading.Event()

    def compute(number: int) -> int:
        if number == 1:
            second_is_done.set()
        return number

    results = map_ahead(compute, range(3), threads=1)
    assert next(results) == 0
    assert second_is_done.wait(timeout=10)


def test_no_more_is_computed_ahead_than_there_are_threads() -> None:
    begun: list[int] = []
    results = map_ahead(begun.append, range(100), threads=2)
    next(results)
    results.close()
    assert len(begun) <= 3


def test_an_error_is_raised_where_its_result_would_have_come() -> None:
    results = map_ahead(lambda divisor: 1 // divisor, [1, 0, 1], threads=2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_decoding_ahead_changes_no_frame(demo_root: Path, demo_media: dict[str, Medium]) -> None:
    clips = [image_clip(medium) for medium in demo_media.values()]
    for (place, alone), (same_place, ahead) in zip(
        iterate_frames(clips, demo_root, 3), iterate_frames(clips, demo_root, 3, threads=2), strict=True
    ):
        assert place == same_place
        if isinstance(alone, SampledFrames):
            assert isinstance(ahead, SampledFrames)
            assert alone.indices == ahead.indices
            np.testing.assert_array_equal(alone.images, ahead.images)
        else:
            assert str(alone) == str(ahead)
