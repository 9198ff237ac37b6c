"""``multiemo import``: a corpus's table from ELAN, Praat, Whisper."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from pipeline.console.shared.transcripts import add_transcript_arguments, read_wanted
from pipeline.corpora.annotations.cells import one_line
from pipeline.corpora.annotations.doubts import doubt_speakers
from pipeline.errors import UserError
from pipeline.transcripts.agreement import krippendorff_alpha
from pipeline.transcripts.content import Transcript
from pipeline.transcripts.films import Films
from pipeline.transcripts.importing import Imported, import_transcripts
from pipeline.transcripts.reading import read_transcripts
from pipeline.transcripts.splits import (
    WAYS,
    Turn,
    check_ignored,
    describe_splits,
    doubt_merged,
    doubt_splits,
    doubt_unnamed,
    split_dialogues,
)
from pipeline.transcripts.table import check_target, write_table

EXAMPLES = 3
EXAMPLE_CHARACTERS = 40
GONE_SHOWN = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``multiemo import``."""
    parser.description = (
        "Read ELAN .eaf, Praat .TextGrid, SubRip, WebVTT and the JSON of the Whisper family, and write\n"
        "annotations.csv for a corpus of format table. docs/importing.md explains every option.\n"
        "--list shows what the files hold, and writes nothing."
    )
    parser.epilog = (
        "example:\n  multiemo import visits/*.eaf --utterances Ann Bob --labels 'emotion@{speaker}'"
        " --media films --split speaker -o corpus/annotations.csv"
    )
    parser.add_argument("files", type=Path, nargs="+", help="transcripts; each is a dialogue")
    parser.add_argument("--list", action="store_true", help="tiers, speakers and examples of each file")
    parser.add_argument("-o", "--output", type=Path, metavar="CSV", help="a file called annotations.csv")
    parser.add_argument(
        "--media", type=Path, metavar="FOLDER", help="where films are looked for by their names"
    )
    parser.add_argument(
        *("--labels-from",), type=Path, nargs="+", default=[], metavar="FILE",
        help="files of other raters with labels of the same dialogues, called as theirs are",
    )  # fmt: skip
    parser.add_argument("--split", choices=WAYS, help="how dialogues are put into train, dev and test")
    parser.add_argument(
        *("--ignore-speaker", "--ignore-speakers"), nargs="+", default=[], metavar="NAME",
        help="who may be in several splits, such as an interviewer",
    )  # fmt: skip
    parser.add_argument(
        "--dialogue", choices=("stem", "path"), default="stem", help="what a dialogue is called after"
    )
    parser.add_argument("--force", action="store_true", help="replace a table, and keep its splits")
    add_transcript_arguments(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    wanted = read_wanted(arguments)
    if arguments.list:
        for transcript in read_transcripts(arguments.files, wanted.how):
            print("\n".join(describe(transcript)))
        return 0
    if arguments.output is None:
        raise UserError("-o names the table to write; --list shows what the files hold")
    if arguments.split is None:
        raise UserError(
            "a corpus has splits: --split speaker keeps each speaker in one of them, --split dialogue only"
            " each dialogue, --split test puts all in test, for prediction"
        )
    known = check_target(arguments.output, arguments.force)
    films = Films(arguments.media) if arguments.media else None
    imported = import_transcripts(arguments.files, wanted, films, arguments.labels_from)
    turns = [Turn(row.dialogue, row.speaker, row.label) for row in imported.rows]
    ignored = [one_line(name) for name in arguments.ignore_speaker]
    check_ignored(turns, ignored)
    splits = split_dialogues(turns, arguments.split, known, ignored)
    outside = write_table(arguments.output, imported, splits, _options(arguments))
    print(f"{arguments.output}: {len(imported.rows)} utterances of {len(splits)} dialogues")
    for line in (*describe_splits(turns, splits), *_agreement(imported)):
        print(f"  {line}")
    for what, count in imported.counts.items():
        print(f"note: {count} {what}")
    if not films:
        print("note: without --media there is text alone: modalities: [text]")
    if outside:
        print(
            "note: films lie outside of the table's folder: format: {kind: table, outside_media: true} in the"
            " corpus's entry, then `multiemo pin`"
        )
    if gone := [name for name in known if name not in splits]:
        shown = ", ".join(gone[:GONE_SHOWN]) + (", ..." if len(gone) > GONE_SHOWN else "")
        print(f"warning: {len(gone)} dialogues of the table before are gone, as no file is theirs: {shown}")
    doubts = [*doubt_splits(turns, splits), *doubt_speakers({turn.speaker for turn in turns})]
    if arguments.split == "speaker":
        doubts += doubt_unnamed(turns, ignored, renamed=arguments.speakers is not None)
        doubts += doubt_merged(turns, splits, known, ignored)
    for doubt in doubts:
        print(f"warning: {doubt}")
    return 0


def describe(transcript: Transcript) -> Iterator[str]:
    """What a file holds, for choosing among its tiers."""
    media = ", ".join(f"{link.name} from {link.origin_ms / 1000:g} s" for link in transcript.media)
    yield f"{transcript.path}{f': {media}' if media else ''}"
    for tier in transcript.tiers:
        empty = sum(not mark.text for mark in tier.marks)
        kind = "points" if tier.points else "annotations" if transcript.tiered else "utterances"
        said = [
            f"{len(tier.marks)} {kind}",
            *([f"{empty} empty"] if empty else []),
            *([f"{tier.untimed} without a time of their own"] if tier.untimed else []),
            *([f"participant {tier.participant}"] if tier.participant else []),
            *([f"of tier {tier.parent}"] if tier.parent else []),
        ]
        speakers = dict.fromkeys(mark.speaker or "nobody" for mark in tier.marks)
        name = tier.name if transcript.tiered else f"speakers {', '.join(speakers)}"
        yield f"  {name}: {', '.join(said)}"
        texts = list(dict.fromkeys(mark.text for mark in tier.marks if mark.text))[:EXAMPLES]
        if texts:
            yield f"    {' | '.join(text[:EXAMPLE_CHARACTERS] for text in texts)}"
    for what, count in transcript.notes.items():
        if count:
            yield f"  note: {count} {what}"


def _agreement(imported: Imported) -> Iterator[str]:
    units = [list(row.votes.values()) for row in imported.rows if row.votes]
    if units:
        alpha = krippendorff_alpha(units)
        shown = "cannot be computed: there is nothing to compare" if alpha is None else f"{alpha:.3f}"
        raters = len({rater for row in imported.rows for rater in row.votes})
        yield f"{raters} raters, Krippendorff's alpha {shown}; votes.csv has what each says"


def _options(arguments: argparse.Namespace) -> dict[str, object]:
    """What the result depends on beside the files, for the record."""
    left_out = ("run", "files", "list", "output", "force")
    return {
        name: [*map(str, value)]
        if name == "labels_from"
        else str(value)
        if isinstance(value, Path)
        else value
        for name, value in vars(arguments).items()
        if name not in left_out
    }
