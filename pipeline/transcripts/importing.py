"""Transcripts to the rows of a corpus's table: who says what where in which film, with what label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.corpora.annotations.cells import check_gaps, one_line, spelling
from pipeline.corpora.annotations.rows import Mistakes, name_party
from pipeline.errors import UserError
from pipeline.transcripts.content import Transcript, clock
from pipeline.transcripts.films import Film, Films
from pipeline.transcripts.labelling import Labelled, Rule, label_utterances
from pipeline.transcripts.placing import find_film, place_said
from pipeline.transcripts.reading import How, read_transcripts
from pipeline.transcripts.speakers import Cast
from pipeline.transcripts.turns import Choice, Said, find_said, label_patterns, matches

WEAK = "labels that cover too little of an utterance (--min-overlap), counted as none"
WEAK_SHOWN = 5


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
    """Those of raters, too."""


def import_transcripts(
    paths: Sequence[Path], wanted: Wanted, films: Films | Path | None, raters: Sequence[Path] = ()
) -> Imported:
    """The utterances of all files, by dialogue and time.

    ``films``: where media are looked for, or the one film; None for text alone.  ``raters``: files with
    labels of the same dialogues by others, called as theirs are.  UserError with the first mistakes of all
    files, by file and place.
    """
    if raters and not wanted.rule.tiers:
        raise UserError("--labels-from: in which tiers are the labels? Name them by --labels")
    read = read_transcripts([*paths, *raters], wanted.how)
    transcripts, others = read[: len(paths)], _by_stem(read[: len(paths)], read[len(paths) :])
    mistakes, counts = Mistakes(), Counter[str]()
    _check_patterns(read, wanted)
    names = _dialogues(transcripts, wanted.dialogue_is_path)
    rows: list[Row] = []
    weak: list[str] = []
    for transcript, dialogue in zip(transcripts, names, strict=True):
        counts.update(transcript.notes)
        with mistakes.at(str(transcript.path)):
            found = find_said(transcript, wanted.choice, mistakes, counts, wanted.rule.tiers)
            rated = others.get(one_line(transcript.path.stem), [])
            labels = label_utterances(transcript, found, wanted.rule, mistakes, counts, weak, rated)
            film = find_film(transcript, films, wanted.camera)
            if film and film.note:
                counts[
                    f"films other than what the transcript names: {transcript.path.name}: {film.note}"
                ] += 1
            placed = place_said(transcript, found, film, mistakes)
            rows += _rows(transcript, dialogue, placed, labels, film, wanted.cast, mistakes)
            used = {said.tier for said in found}
            for tier in transcript.tiers:
                if (
                    transcript.tiered
                    and tier.marks
                    and not (tier.name in used or _is_used(tier.name, wanted))
                ):
                    counts[f"annotations of tiers that are not used: {tier.name!r}"] += len(tier.marks)
    if weak:
        more = "; ..." if len(weak) > WEAK_SHOWN else ""
        counts[f"{WEAK} ({'; '.join(weak[:WEAK_SHOWN])}{more})"] = len(weak)
    _check_labels(rows, mistakes)
    mistakes.refuse()
    if not rows:
        raise UserError("no utterance is left; `multiemo import --list` shows what the files hold")
    return Imported(_as_parties(rows), dict(sorted((+counts).items())), read)


def _check_patterns(transcripts: Iterable[Transcript], wanted: Wanted) -> None:
    """UserError for a tier that no file has: a typo must lose neither a speaker nor labels."""
    names = {tier.name: None for transcript in transcripts for tier in transcript.tiers if transcript.tiered}
    asked = [("--labels", pattern) for pattern in wanted.rule.tiers]
    asked += [("--utterances", pattern) for pattern in wanted.choice.utterances if names]
    for option, pattern in asked:
        anybody = label_patterns((pattern,), "*")
        if not any(matches(name, anybody) for name in names):
            there = f"there are {', '.join(map(repr, names))}" if names else "files of this format have none"
            raise UserError(f"{option} {pattern}: no file has such a tier; {there}")


def _by_stem(transcripts: Sequence[Transcript], others: Sequence[Transcript]) -> dict[str, list[Transcript]]:
    """Files of raters by the name of the dialogue; UserError for one that is of none."""
    known = Counter(one_line(transcript.path.stem) for transcript in transcripts)
    found: dict[str, list[Transcript]] = {}
    for other in others:
        stem = one_line(other.path.stem)
        if known[stem] != 1:
            many = "several" if known[stem] else "none"
            raise UserError(
                f"{other.path}: is called as {many} of the dialogues' files, such as {min(known)}"
            )
        found.setdefault(stem, []).append(other)
    return found


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


def _as_parties(rows: Sequence[Row]) -> list[Row]:
    """Several speakers of an utterance in the order in which they came first, as a table is read."""
    parties: dict[frozenset[str], str] = {}
    return [replace(row, speaker=name_party(row.speaker, parties)) for row in rows]


def _is_used(tier: str, wanted: Wanted) -> bool:
    """Whether a tier is one of labels, of whatever speaker."""
    return matches(tier, label_patterns(wanted.rule.tiers, "*"))


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
