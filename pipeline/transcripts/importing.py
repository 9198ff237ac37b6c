"""Transcripts to the rows of a corpus's table: who says what where in which film, with what label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.corpora.annotations.cells import check_gaps, one_line, spelling
from pipeline.corpora.annotations.rows import Mistakes
from pipeline.errors import UserError
from pipeline.transcripts.content import Transcript, clock
from pipeline.transcripts.films import Film, Films, length_s
from pipeline.transcripts.labelling import Labelled, Rule, label_utterances
from pipeline.transcripts.reading import How, read_transcripts
from pipeline.transcripts.speakers import Cast
from pipeline.transcripts.turns import Choice, Said, find_said, matches

WRONG_FILM_SHARE = 0.5
"""If more of the utterances than this lie behind the film's end, it is not their film."""


@dataclass(frozen=True)
class Wanted:
    """What the user says of transcripts."""

    how: How = field(default_factory=How)
    choice: Choice = field(default_factory=Choice)
    rule: Rule = field(default_factory=Rule)
    cast: Cast = field(default_factory=Cast)
    camera: str | None = None
    dialogue_is_path: bool = False


@dataclass(frozen=True)
class Row:
    """An utterance as the table is to have it."""

    dialogue: str
    number: int
    speaker: str
    text: str
    label: str
    media: Path | None
    start_ms: int
    end_ms: int
    crop: str = ""
    votes: dict[str, str] = field(default_factory=dict)
    """By rater, where there are several."""
    source: tuple[str, str] = ("", "")
    """Tier and id of the annotation that it comes from; empty where annotations have no ids."""


@dataclass(frozen=True)
class Imported:
    """All rows, and what there is to say of them."""

    rows: list[Row]
    counts: dict[str, int]
    """What was read otherwise than it is written, or left out, in words, and how often."""
    transcripts: list[Transcript]
    origins_ms: dict[str, int]
    """By dialogue: where in its film the transcript's clock shows 0."""


def import_transcripts(paths: Sequence[Path], wanted: Wanted, films: Films | Path | None) -> Imported:
    """The utterances of all files, by dialogue and time.

    ``films``: where media are looked for, or the one film; None for text alone.  UserError with the first
    mistakes of all files, by file and place.
    """
    transcripts = read_transcripts(paths, wanted.how)
    mistakes, counts = Mistakes(), Counter[str]()
    _check_patterns(transcripts, wanted)
    names = _dialogues(transcripts, wanted.dialogue_is_path)
    rows: list[Row] = []
    origins = {}
    for transcript, dialogue in zip(transcripts, names, strict=True):
        counts.update(transcript.notes)
        with mistakes.at(str(transcript.path)):
            found = find_said(transcript, wanted.choice, mistakes, counts)
            labels = label_utterances(transcript, found, wanted.rule, mistakes, counts)
            film = _film(transcript, films, wanted.camera)
            if film and film.note:
                counts[
                    f"films other than what the transcript names: {transcript.path.name}: {film.note}"
                ] += 1
            placed = _place(transcript, found, film, mistakes)
            origins[dialogue] = film.origin_ms if film else 0
            rows += _rows(transcript, dialogue, placed, labels, film, wanted.cast, mistakes)
            used = {said.tier for said in found}
            for tier in transcript.tiers:
                if (
                    transcript.tiered
                    and tier.marks
                    and not (tier.name in used or _is_used(tier.name, wanted))
                ):
                    counts[f"annotations of tiers that are not used: {tier.name!r}"] += len(tier.marks)
    _check_labels(rows, mistakes)
    mistakes.refuse()
    if not rows:
        raise UserError("no utterance is left; `multiemo import --list` shows what the files hold")
    return Imported(rows, dict(sorted((+counts).items())), transcripts, origins)


def _check_patterns(transcripts: Iterable[Transcript], wanted: Wanted) -> None:
    """UserError for a tier that no file has: a typo must not lose a speaker."""
    tiers = [tier for transcript in transcripts if transcript.tiered for tier in transcript.tiers]
    if not tiers:
        return
    for pattern in wanted.choice.utterances:
        if not any(matches(tier.name, [pattern]) for tier in tiers):
            names = ", ".join(dict.fromkeys(repr(tier.name) for tier in tiers))
            raise UserError(f"--utterances {pattern}: no file has such a tier; there are {names}")


def _dialogues(transcripts: Sequence[Transcript], by_path: bool) -> list[str]:
    """A name for each file's dialogue; UserError where two would have the same."""
    paths = [transcript.path for transcript in transcripts]
    names = [one_line(path.with_suffix("").as_posix() if by_path else path.stem) for path in paths]
    first: dict[str, Path] = {}
    for name, path in zip(names, paths, strict=True):
        if first.setdefault(name, path) is not path:
            way_out = "" if by_path else "; --dialogue path calls dialogues by their whole paths"
            raise UserError(f"{first[name]} and {path} would both be dialogue {name!r}{way_out}")
    return names


def _film(transcript: Transcript, films: Films | Path | None, camera: str | None) -> Film | None:
    if isinstance(films, Films):
        return films.find(transcript, camera)
    if films is None:
        return None
    named = [link.origin_ms for link in transcript.media if link.name == one_line(films.name)]
    every = {link.origin_ms for link in transcript.media}
    if not named and len(every) > 1:
        raise UserError(f"names several media with different TIME_ORIGIN, and none is called {films.name}")
    return Film(films, (named or sorted(every) or [0])[0])


def _place(
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
        if end is None or end <= start:
            mistakes.add(
                f"{transcript.path}, {said.place}",
                "has no end, and no film says when it can be at the latest",
            )
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


def _rows(
    transcript: Transcript,
    dialogue: str,
    found: Sequence[Said],
    labels: Sequence[Labelled],
    film: Film | None,
    cast: Cast,
    mistakes: Mistakes,
) -> list[Row]:
    rows = []
    for number, (said, labelled) in enumerate(zip(found, labels, strict=True), 1):
        with mistakes.at(f"{transcript.path}, {said.place}"):
            role = cast.role(said.speaker)
            check_gaps({"text": said.text, "label": labelled.label, "speaker": role.speaker})
            rows.append(
                Row(
                    dialogue=dialogue,
                    number=number,
                    speaker=role.speaker,
                    text=said.text,
                    label=labelled.label,
                    media=film.path if film else None,
                    start_ms=said.start_ms,
                    end_ms=said.end_ms or said.start_ms,
                    crop=role.crop,
                    votes=dict(labelled.votes) if len(labelled.votes) > 1 else {},
                    source=(said.tier, said.ids[0]) if said.ids else ("", ""),
                )
            )
    return rows


def _is_used(tier: str, wanted: Wanted) -> bool:
    """Whether a tier is one of labels, of whatever speaker."""
    return matches(tier, [pattern.replace("{speaker}", "*") for pattern in wanted.rule.tiers])


def _check_labels(rows: Iterable[Row], mistakes: Mistakes) -> None:
    """Two spellings of one label would be two classes."""
    first: dict[str, Row] = {}
    told = set()
    for row in rows:
        there = first.setdefault(spelling(row.label), row) if row.label else row
        if there.label != row.label and row.label not in told:
            told.add(row.label)
            mistakes.add(
                f"dialogue {row.dialogue!r}, {clock(row.start_ms)}",
                f"label {row.label!r} is {there.label!r} in dialogue {there.dialogue!r},"
                f" {clock(there.start_ms)}: write it alike",
            )
