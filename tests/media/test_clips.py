from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.manifest import Medium
from pipeline.media.clips import Clip, chain_ahead, image_clip, read_by_file
from pipeline.media.decoding import MediaError
from pipeline.media.frames import SampledFrames, iterate_frames


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_items_come_in_the_order_of_their_iterators(threads: int) -> None:
    iterators = (iter(range(first, first + first % 4)) for first in range(20))
    expected = [number for first in range(20) for number in range(first, first + first % 4)]
    assert list(chain_ahead(iterators, threads)) == expected


@pytest.mark.parametrize("ahead", ["in the same iterator", "in the next iterator"])
def test_the_next_items_are_computed_while_one_is_in_use(ahead: str) -> None:
    second_is_done = threading.Event()

    def compute() -> Iterator[int]:
        yield 1
        second_is_done.set()
        yield 2

    def set_at_once() -> Iterator[int]:
        second_is_done.set()
        yield 2

    same = ahead == "in the same iterator"
    results = chain_ahead(iter([compute()] if same else [iter([1]), set_at_once()]), threads=1)
    assert next(results) == 1
    assert second_is_done.wait(timeout=10)


def test_no_more_is_computed_ahead_than_one_item_of_as_many_iterators_as_there_are_threads() -> None:
    begun: list[int] = []

    def compute(number: int) -> Iterator[None]:
        for _ in range(100):
            begun.append(number)
            yield

    results = chain_ahead(map(compute, range(100)), threads=2)
    next(results)
    results.close()
    assert sorted(begun) in ([0], [0, 0], [0, 1], [0, 2], [0, 0, 1], [0, 1, 2], [0, 0, 2], [0, 0, 1, 2])


def test_an_error_is_raised_where_its_item_would_have_come() -> None:
    results = chain_ahead(iter([map(divmod, [1, 1, 1], [1, 0, 1])]), threads=2)
    assert next(results) == (1, 0)
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_of_a_file_that_breaks_off_what_was_read_is_kept() -> None:
    clips = [Clip(path, "", "") for path in ("a", "b", "a", "a")]

    def read(path: str, places: Sequence[int]) -> Iterator[tuple[int, str]]:
        yield len(places) - 1, f"last of {path}"
        if path == "a":
            raise MediaError("broken")

    results = {place: str(content) for place, content in read_by_file(clips, read)}
    assert results == {3: "last of a", 0: "broken", 2: "broken", 1: "last of b"}


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


def test_a_clip_of_which_nothing_is_known_has_no_key() -> None:
    assert Clip("a.mp4", "", "clip missing").key != Clip("b.mp4", "digest", "").key
    with pytest.raises(UserError, match=r"a\.mp4: media\.csv has neither its digest nor a problem"):
        print(Clip("a.mp4", "", "").key)
