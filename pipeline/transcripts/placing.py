"""Utterances on the clock of their film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.corpora.annotations.cells import one_line
from pipeline.corpora.annotations.rows import Mistakes
from pipeline.errors import UserError
from pipeline.transcripts.content import Transcript, clock
from pipeline.transcripts.files import check_name
from pipeline.transcripts.films import Film, Films, length_s
from pipeline.transcripts.turns import Said

WRONG_FILM_SHARE = 0.5
"""If more of the utterances than this lie behind the film's end, it is not their film."""


def find_film(transcript: Transcript, films: Films | Path | None, camera: str | None) -> Film | None:
    """The film of a transcript: found among ``films``, or the one that it is; None for text alone."""
    if isinstance(films, Films):
        film = films.find(transcript, camera)
        check_name(film.path)
        return film
    if films is None:
        return None
    named = [link.origin_ms for link in transcript.media if link.name == one_line(films.name)]
    every = {link.origin_ms for link in transcript.media}
    if not named and len(every) > 1:
        raise UserError(f"names several media with different TIME_ORIGIN, and none is called {films.name}")
    return Film(films, (named or sorted(every) or [0])[0])


def place_said(
    transcript: Transcript, found: Sequence[Said], film: Film | None, mistakes: Mistakes
) -> list[Said]:
    """The utterances by the film's clock, each with an end."""
    origin = film.origin_ms if film else 0
    end_s = length_s(film.path) if film else None
    placed = []
    for said in found:
        start = said.start_ms + origin
        end = round(1000 * end_s) if said.end_ms is None and end_s else said.end_ms
        end = None if end is None else end + (origin if said.end_ms is not None else 0)
        if end is None:
            mistakes.add(
                f"{transcript.path}, {said.place}",
                "has no end, and no film says when it can be at the latest",
            )
        elif end <= start:
            mistakes.add(f"{transcript.path}, {said.place}", f"ends at {clock(end)}, not after its start")
        elif start < 0:
            what = f"starts {-start / 1000:g} s before the film does (TIME_ORIGIN is {origin} ms)"
            mistakes.add(f"{transcript.path}, {said.place}", what)
        placed.append(replace(said, start_ms=start, end_ms=start if end is None else end))
    behind = [said for said in placed if end_s and said.start_ms > 1000 * end_s]
    if len(behind) > WRONG_FILM_SHARE * len(placed) and film:
        raise UserError(
            f"{len(behind)} of {len(placed)} utterances start after the end of {film.path}, at"
            f" {clock(round(1000 * (end_s or 0)))}: is this the right film, or the wrong unit (ms, frames)?"
        )
    return placed
