"""The frames and sound of a dialogue's utterances, reading every file once.

A file may hold one utterance (MELD) or a whole dialogue (IEMOCAP); either way it is decoded front to
back once, and a file that cannot be used costs the utterances in it and no others.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pipeline.manifest import Medium
from pipeline.media.decoding import WHOLE, MediaError, Span

Item = TypeVar("Item")
Content = TypeVar("Content")
Outcome = tuple[int, Content | MediaError]


class InFile(Protocol):
    """What lies in a file, if it can be used."""

    @property
    def path(self) -> str:
        """Relative to the corpus root."""
        ...

    @property
    def problem(self) -> str:
        """Why it cannot be used; empty if it can."""
        ...


@dataclass(frozen=True)
class Clip:
    """Where the frames or the sound of an utterance are: what a worker needs to read them."""

    path: str
    """Relative to the corpus root."""
    sha256: str
    """Digest of the file; empty if there is none."""
    problem: str
    """Why it cannot be used; empty if it can."""
    span: Span = WHOLE
    crop: str = ""
    """Part of the image that shows the speaker, as in manifest.Medium."""

    @property
    def key(self) -> list[Any]:
        """What defines its content, as JSON values."""
        end_s = None if math.isinf(self.span.end_s) else self.span.end_s
        return [self.sha256, self.span.start_s, end_s, self.crop, self.problem]


def image_clip(medium: Medium) -> Clip:
    """Where an utterance's frames are."""
    return Clip(medium.path, medium.sha256, medium.image_problem, _span(medium), medium.crop)


def audio_clip(medium: Medium) -> Clip:
    """Where an utterance's sound is: in a file of its own, or beside its frames."""
    if medium.audio_path:
        return Clip(medium.audio_path, medium.audio_sha256, medium.audio_problem)
    return Clip(medium.path, medium.sha256, medium.audio_problem, _span(medium))


def map_ahead(function: Callable[[Item], Content], items: Iterable[Item], threads: int) -> Iterator[Content]:
    """``map()`` whose next results, as many as there are threads, are computed while one is in use.

    With no threads it is ``map()``: right where every core has a process of its own.
    """
    if not threads:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(threads)
    ahead: deque[Future[Content]] = deque()
    try:
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) > threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def read_by_file(
    clips: Sequence[InFile], read: Callable[[str, Sequence[int]], list[Content]], threads: int = 0
) -> Iterator[Outcome[Content]]:
    """(place in ``clips``, what ``read`` gives of it or why there is nothing), file by file.

    ``read`` gets a file's path and the places of all clips in it; ``threads`` read that many files ahead.
    """
    yield from ((place, MediaError(clip.problem)) for place, clip in enumerate(clips) if clip.problem)
    places_by_path: dict[str, list[int]] = {}
    for place, clip in enumerate(clips):
        if not clip.problem:
            places_by_path.setdefault(clip.path, []).append(place)

    def attempt(path: str) -> list[Content] | MediaError:
        try:
            return read(path, places_by_path[path])
        except MediaError as error:
            return error

    for path, contents in zip(places_by_path, map_ahead(attempt, places_by_path, threads), strict=True):
        places = places_by_path[path]
        if isinstance(contents, MediaError):
            yield from ((place, contents) for place in places)
        else:
            yield from zip(places, contents, strict=True)


def _span(medium: Medium) -> Span:
    return Span(medium.start_s or 0.0, math.inf if medium.end_s is None else medium.end_s)
