"""IEMOCAP's release layout as the published six-class set of 7433 utterances in 151 dialogues.

The labels are those of the evaluation summaries, plus ``happiness`` for the utterances on which the
raters agree in a way that the summaries do not count.  The order is that of the transcriptions; the
utterances of other labels are left out of it.  One video holds a whole dialogue of two actors.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from pipeline.corpora.annotations.corpus import SPLITS, Annotation, Corpus
from pipeline.corpora.annotations.labels import IEMOCAP
from pipeline.corpora.annotations.rows import Mistakes, read_lines
from pipeline.errors import UserError
from pipeline.manifest import Utterance
from pipeline.params import FormatParams

CONTENT = "IEMOCAP_full_release: the folders Session1 to Session5"

LABELS = dict(zip(("hap", "sad", "neu", "ang", "exc", "fru"), IEMOCAP, strict=True))
NO_AGREEMENT = "xxx"
OTHER_LABELS = ("dis", "fea", "oth", "sur", NO_AGREEMENT)

DIALOGUES_OF_SESSION = {1: 28, 2: 30, 3: 32, 4: 30, 5: 31}
TEST_SESSION = 5
# The corpus has no validation split.  Ours: twelve whole dialogues, as many as others take, chosen once by
# benchmarks/iemocap_validation.py so that class shares are those of Sessions 1 to 4 to 0.8 points.
DEV_DIALOGUES = frozenset({
    "Ses01F_impro01", "Ses01M_impro06", "Ses01F_script01_3",
    "Ses02M_impro01", "Ses02F_script01_1", "Ses02M_script01_3",
    "Ses03F_impro07", "Ses03M_impro01", "Ses03F_script02_1",
    "Ses04M_impro07", "Ses04F_script01_1", "Ses04M_script01_1",
})  # fmt: skip
# What the published set holds: 7433 utterances.
UTTERANCES_OF_LABEL = dict(zip(IEMOCAP, (648, 1084, 1708, 1103, 1041, 1849), strict=True))

_SUMMARY = re.compile(r"\[(\d+\.?\d*)\s*-\s*(\d+\.?\d*)\]\s+(\S+_[FM]\w{3})\s+(\w+)\b")
_VOTE = re.compile(r"C-([EFM])\d*:([^(]*)")
# One that names an utterance has swallowed a summary.
_OF_A_RATER = re.compile(r"[AC]-[EFM]\d*:(?!.*Ses\d\d[FM]_)")
_TRANSCRIBED = re.compile(r"(\S+_[FM]\w{3})\s+\[[^\]]*\]:(.*)")


class _Evaluation(NamedTuple):
    """What the raters say of an utterance."""

    start_s: float
    end_s: float
    label: str
    """Three letters, as in the summaries."""


class Params(FormatParams):
    """IEMOCAP has none of its own."""

    kind: Literal["iemocap"] = "iemocap"


def label_names(labels: Iterable[str]) -> tuple[str, ...]:
    """IEMOCAP's emotions, whichever of them occur."""
    return IEMOCAP


def read(root: Path, params: Params) -> Corpus:
    """The corpus at ``root``: every annotated row is in it or counted in its notes.

    UserError, with the difference, unless it is the published set to the last utterance.
    """
    corpus = read_iemocap(root)
    found = Counter(annotation.utterance.label for annotation in corpus.annotations)
    if found != UTTERANCES_OF_LABEL:
        differences = [
            f"{label} {found[label]} instead of {published}"
            for label, published in UTTERANCES_OF_LABEL.items()
            if found[label] != published
        ]
        raise UserError(
            f"{root}: {found.total()} utterances where the six-class set has"
            f" {sum(UTTERANCES_OF_LABEL.values())}: {', '.join(differences)}; unpack the release's"
            f" EmoEvaluation and transcriptions again, or describe what is there as a corpus of format table"
        )
    return corpus


def read_iemocap(root: Path) -> Corpus:
    """The six-class set of an IEMOCAP folder, by split, dialogue and order of transcription.

    Session 5 is for testing, ``DEV_DIALOGUES`` of the others for validation.  The sound is that of
    ``sentences/wav`` where the file exists.  Lines that do not belong to the set are counted in the
    notes; a session or a dialogue that is not there is a UserError.
    """
    mistakes, notes = Mistakes(), Counter[str]()
    places: dict[str, str] = {}
    annotations: list[Annotation] = []
    for session in DIALOGUES_OF_SESSION:
        for dialogue in _dialogues(root, session):
            annotations += _read_dialogue(root, session, dialogue, places, mistakes, notes)
    mistakes.refuse()
    annotations.sort(key=lambda annotation: SPLITS.index(annotation.utterance.split))
    return Corpus(annotations, dict(sorted((+notes).items())))  # + leaves out what did not occur


def _dialogues(root: Path, session: int) -> list[str]:
    """Names of a session's dialogues; UserError unless all of the release are there, with both files."""
    folder = root / f"Session{session}" / "dialog"
    names = []
    for kind in ("EmoEvaluation", "transcriptions"):
        if not (folder / kind).is_dir():
            raise UserError(
                f"{folder / kind} is missing: the six-class set needs Session1 to Session5 of the release;"
                f" point the corpus's 'root' in params.yaml at the folder that holds them"
            )
        # The pattern leaves out the ._* files of macOS archives.
        names.append({path.stem for path in (folder / kind).glob(f"Ses0{session}[FM]_*.txt")})
    evaluated, transcribed = names
    if halves := sorted(evaluated ^ transcribed):
        lacks = "transcriptions" if halves[0] in evaluated else "EmoEvaluation"
        raise UserError(f"{folder / lacks / halves[0]}.txt is missing: unpack the release again")
    if len(evaluated) != DIALOGUES_OF_SESSION[session]:
        raise UserError(
            f"{folder}: {len(evaluated)} dialogues where the release has {DIALOGUES_OF_SESSION[session]}:"
            f" unpack it again, or describe a part of it as a corpus of format table"
        )
    return sorted(evaluated)


def _read_dialogue(
    root: Path,
    session: int,
    dialogue: str,
    places: dict[str, str],
    mistakes: Mistakes,
    notes: Counter[str],
) -> list[Annotation]:
    """A dialogue's utterances; ``places``, where each utterance is evaluated, grows by them."""
    folder = root / f"Session{session}"
    evaluated = _read_evaluations(folder / "dialog" / "EmoEvaluation" / f"{dialogue}.txt", places, mistakes)
    texts = _read_texts(folder / "dialog" / "transcriptions" / f"{dialogue}.txt", mistakes, notes)
    wavs = folder / "sentences" / "wav" / dialogue
    split = "test" if session == TEST_SESSION else "dev" if dialogue in DEV_DIALOGUES else "train"
    notes["transcribed, not evaluated"] += len(texts.keys() - evaluated.keys())
    for id, evaluation in evaluated.items():
        if evaluation.label not in LABELS:
            notes[f"labelled {evaluation.label}"] += 1
        elif id not in texts:
            mistakes.add(places[id], f"utterance {id} is evaluated but not transcribed")
    kept = [id for id in texts if id in evaluated and evaluated[id].label in LABELS]
    return [
        Annotation(
            Utterance(
                id=id,
                split=split,
                dialogue=dialogue,
                position=position,
                speaker=f"{dialogue[:5]}{id[-4]}",
                label=LABELS[evaluated[id].label],
                text=texts[id],
            ),
            media=(folder / "dialog" / "avi" / "DivX" / f"{dialogue}.avi").relative_to(root).as_posix(),
            audio=wav.relative_to(root).as_posix() if (wav := wavs / f"{id}.wav").is_file() else "",
            start_s=evaluated[id].start_s,
            end_s=evaluated[id].end_s,
            # The letter after the session's number is the actor in the left half of the picture.
            crop="left" if dialogue[5] == id[-4] else "right",
        )
        for position, id in enumerate(kept)
    ]


def _read_evaluations(path: Path, places: dict[str, str], mistakes: Mistakes) -> dict[str, _Evaluation]:
    """Utterance -> evaluation: a summary line, then one line per rater until the next summary."""
    evaluations: dict[str, _Evaluation] = {}
    for (number, summary), *votes in _blocks(path, mistakes):
        with mistakes.at(place := f"{path}, line {number}"):
            match = _SUMMARY.match(summary)
            if not match:
                raise UserError("a summary must read [start - end] utterance label [ratings]")
            start_s, end_s, id, label = float(match[1]), float(match[2]), match[3], match[4]
            if label == NO_AGREEMENT and _votes_say_happiness([line for _, line in votes]):
                label = "hap"
            if label not in LABELS and label not in OTHER_LABELS:
                raise UserError(f"label {label!r} of utterance {id} is none of IEMOCAP's")
            if label in LABELS and start_s >= end_s:
                raise UserError(f"utterance {id} ends at {end_s:g} s, not after its start at {start_s:g} s")
            if id in places:
                raise UserError(f"utterance {id} is evaluated more than once: also {places[id]}")
            places[id] = place
            evaluations[id] = _Evaluation(start_s, end_s, label)
    return evaluations


def _blocks(path: Path, mistakes: Mistakes) -> Iterator[list[tuple[int, str]]]:
    """The (number, line) pairs from each summary line to the next; lines of no known form are mistakes."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate(read_lines(path, cp1252=True), 1):
        if line.startswith("["):
            if block:
                yield block
            block = [(number, line)]
        elif block and _OF_A_RATER.match(line):
            block.append((number, line))
        elif line.strip() and not line.startswith("%"):
            mistakes.add(
                f"{path}, line {number}", f"neither a summary, a rating nor a comment: {line.strip()!r}"
            )
    if block:
        yield block


def _votes_say_happiness(lines: list[str]) -> bool:
    """Whether Happiness alone has the most votes.

    Every emotion that an external rater names is a vote, of what the actors say of themselves only the
    first.  This is how the published set comes to hold 53 utterances of which the summaries say that the
    raters do not agree.
    """
    votes: Counter[str] = Counter()
    for match in filter(None, map(_VOTE.match, lines)):
        named = [emotion.strip() for emotion in match[2].split(";") if emotion.strip()]
        votes.update(named if match[1] == "E" else named[:1])
    return [emotion for emotion, count in votes.items() if count == max(votes.values())] == ["Happiness"]


def _read_texts(path: Path, mistakes: Mistakes, notes: Counter[str]) -> dict[str, str]:
    """Utterance -> what is said, in the order of the file."""
    texts: dict[str, str] = {}
    for number, line in enumerate(read_lines(path, cp1252=True), 1):
        match = _TRANSCRIBED.match(line)
        if match and "XX" not in match[1]:
            if match[1] in texts:
                mistakes.add(f"{path}, line {number}", f"utterance {match[1]} is transcribed more than once")
            texts[match[1]] = match[2].strip()
        elif line.strip():
            notes["transcribed with an XX id" if match else "transcribed in another form"] += 1
    return texts
