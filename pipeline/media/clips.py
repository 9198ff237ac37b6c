"""The frames and sound of a dialogue's utterances, reading every file once.

A file may hold one utterance (MELD) or a whole dialogue (IEMOCAP); either way it is decoded front to
back once, each utterance is handed on as soon as it is read, and a file that cannot be used costs the
utterances in it and no others.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Protocol, TypeVar

from pipeline.errors import UserError
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
    utterance: str = ""
    """Its id, for errors: no part of its key."""

    @property
    def key(self) -> list[Any]:
        """What defines its content, as JSON values; UserError where nothing does: all such are alike."""
        if not self.sha256 and not self.problem:
            raise UserError(f"{self.path}: media.csv has neither its digest nor a problem; run dvc repro")
        end_s = None if math.isinf(self.span.end_s) else self.span.end_s
        return [self.sha256, self.span.start_s, end_s, self.crop, self.problem]


def image_clip(medium: Medium) -> Clip:
    """Where an utterance's frames are."""
    return Clip(medium.path, medium.sha256, medium.image_problem, _span(medium), medium.crop, medium.id)


def audio_clip(medium: Medium) -> Clip:
    """Where an utterance's sound is: in a file of its own, or beside its frames."""
    if medium.audio_path:
        return Clip(medium.audio_path, medium.audio_sha256, medium.audio_problem)
    return Clip(medium.path, medium.sha256, medium.audio_problem, _span(medium))


def chain_ahead(iterators: Iterable[Iterator[Item]], threads: int) -> Iterator[Item]:
    """``chain.from_iterable()``, while threads compute the next item and the first ones of later iterators.

    As many iterators as there are threads are ahead of the one in use, each by one item.  With no threads it
    is ``chain.from_iterable()``: right where every core has a process of its own.
    """
    if not threads:
        yield from chain.from_iterable(iterators)
        return
    end: Any = object()
    pool = ThreadPoolExecutor(threads)
    waiting = (iterator for iterator in iterators)
    ahead = deque((iterator, pool.submit(next, iterator, end)) for iterator in islice(waiting, threads + 1))
    try:
        while ahead:
            iterator, future = ahead.popleft()
            item = future.result()
            if item is not end:
                ahead.appendleft((iterator, pool.submit(next, iterator, end)))
                yield item
            else:
                ahead.extend((later, pool.submit(next, later, end)) for later in islice(waiting, 1))
    finally:
        pool.shutdown(cancel_futures=True)


def read_by_file(
    clips: Sequence[InFile],
    read: Callable[[str, Sequence[int]], Iterator[tuple[int, Content]]],
    threads: int = 0,
) -> Iterator[Outcome[Content]]:
    """(place in ``clips``, what ``read`` gives of it or why there is nothing), file by file.

    ``read`` gets a file's path and the places of all clips in it, and gives (place among these, content) of
    each as soon as it has it, so that no more is held than the clip in use and, of as many files as there are
    ``threads``, the next one.
    """
    yield from ((place, MediaError(clip.problem)) for place, clip in enumerate(clips) if clip.problem)
    places_by_path: dict[str, list[int]] = {}
    for place, clip in enumerate(clips):
        if not clip.problem:
            places_by_path.setdefault(clip.path, []).append(place)

    def read_file(path: str, places: list[int]) -> Iterator[Outcome[Content]]:
        left = dict(enumerate(places))
        try:
            for number, content in read(path, places):
                yield left.pop(number), content
        except MediaError as error:
            yield from ((place, error) for place in left.values())

    yield from chain_ahead((read_file(*file) for file in places_by_path.items()), threads)


def _span(medium: Medium) -> Span:
    return Span(medium.start_s or 0.0, math.inf if medium.end_s is None else medium.end_s)
