"""The picture and sound of a dialogue's utterances, reading every file once.

A file may hold one utterance (MELD) or a whole dialogue (IEMOCAP); either way it is decoded front to
back once, and a file that cannot be used costs the utterances in it and no others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from pipeline.manifest import Medium
from pipeline.media.audio import read_audio
from pipeline.media.decoding import MediaError, Span
from pipeline.media.frames import SampledFrames, read_frames

Item = TypeVar("Item")
Content = TypeVar("Content")
Outcome = tuple[int, Content | MediaError]


def iterate_frames(
    clips: Sequence[Medium], root: Path, wanted: int, threads: int = 0
) -> Iterator[Outcome[SampledFrames]]:
    """(place in ``clips``, its sampled frames or why there are none), file by file.

    ``threads`` decode that many files ahead.
    """

    def read(path: str, spans: Sequence[Span]) -> list[SampledFrames]:
        return read_frames(root / path, wanted, spans)

    usable = [place for place, clip in enumerate(clips) if not clip.image_problem]
    yield from ((p, MediaError(c.image_problem)) for p, c in enumerate(clips) if c.image_problem)
    for place, outcome in _by_file(
        usable, lambda place: (clips[place].path, Span(*clips[place].span)), read, threads
    ):
        if isinstance(outcome, SampledFrames) and not outcome.images:
            yield place, MediaError("no picture within the utterance")
        else:
            yield place, outcome


def iterate_audio(clips: Sequence[Medium], root: Path, sample_rate_hz: int) -> Iterator[Outcome[np.ndarray]]:
    """(place in ``clips``, its mono samples float32 [n] or why there are none), file by file."""

    def read(path: str, spans: Sequence[Span]) -> list[np.ndarray]:
        return read_audio(root / path, sample_rate_hz, spans)

    def source(place: int) -> tuple[str, Span]:
        clip = clips[place]
        return (clip.audio_path, Span()) if clip.audio_path else (clip.path, Span(*clip.span))

    yield from ((p, MediaError(c.audio_problem)) for p, c in enumerate(clips) if c.audio_problem)
    yield from _by_file([p for p, clip in enumerate(clips) if not clip.audio_problem], source, read)


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


def _by_file(
    places: Sequence[int],
    source: Callable[[int], tuple[str, Span]],
    read: Callable[[str, Sequence[Span]], list[Content]],
    threads: int = 0,
) -> Iterator[Outcome[Content]]:
    files: dict[str, list[tuple[int, Span]]] = {}
    for place in places:
        path, span = source(place)
        files.setdefault(path, []).append((place, span))

    def attempt(path: str) -> list[Content] | MediaError:
        try:
            return read(path, [span for _, span in files[path]])
        except MediaError as error:
            return error

    for path, contents in zip(files, map_ahead(attempt, files, threads), strict=True):
        in_file = [place for place, _ in files[path]]
        if isinstance(contents, MediaError):
            yield from ((place, contents) for place in in_file)
        else:
            yield from zip(in_file, contents, strict=True)
