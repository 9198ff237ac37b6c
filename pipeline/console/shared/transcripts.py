"""Arguments by which a user says what a transcript holds, for whatever reads one."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.transcripts.files import check_encoding
from pipeline.transcripts.importing import Wanted
from pipeline.transcripts.labelling import Rule
from pipeline.transcripts.reading import How, formats
from pipeline.transcripts.speakers import Cast
from pipeline.transcripts.turns import Choice


def add_transcript_arguments(parser: argparse.ArgumentParser) -> None:
    """Tiers, speakers, labels, times and encodings."""
    add = parser.add_argument_group("what the transcripts hold").add_argument
    add(
        "--from",
        dest="format",
        choices=formats(),
        help="the files' format, where suffix and content do not tell",
    )
    add(
        "--encoding",
        type=_encoding,
        help="of files without a byte order mark that are not UTF-8, such as cp1252",
    )
    add(
        "--utterances",
        nargs="+",
        default=[],
        metavar="TIER",
        help="tiers of what is said, by name or pattern",
    )
    add(
        *("--labels",), nargs="+", default=[], metavar="TIER",
        help="tiers of labels; {speaker} in a name stands for who speaks. Several are raters, who vote",
    )  # fmt: skip
    add(
        "--min-overlap",
        type=_share,
        default=0.5,
        metavar="SHARE",
        help="of an utterance that its label covers (0.5)",
    )
    add("--unmarked", default="", metavar="LABEL", help="label of utterances that are not marked")
    add("--speaker", choices=("tier", "participant"), default="tier", help="what tells who speaks (tier)")
    add(
        "--speakers",
        type=Path,
        metavar="CSV",
        help="table of found, speaker, crop: renames whom the files name",
    )
    add("--camera", metavar="NUMBER|NAME", help="which film, where a transcript has several")
    add("--ignore", nargs="+", default=[], metavar="TEXT", help="texts that are no utterances, such as xxx")
    add(
        "--join", type=_seconds, metavar="SECONDS", help="join utterances of one speaker with no longer pause"
    )
    add("--drop-empty-spans", action="store_true", help="leave out what has no duration, rather than stop")


def read_wanted(arguments: argparse.Namespace) -> Wanted:
    """What the user said."""
    cast = Cast.read(arguments.speakers) if arguments.speakers else Cast()
    return Wanted(
        how=How(arguments.format, arguments.encoding, cast.known),
        choice=Choice(
            utterances=tuple(arguments.utterances),
            by_participant=arguments.speaker == "participant",
            ignore=tuple(arguments.ignore),
            drop_empty_spans=arguments.drop_empty_spans,
            join_s=arguments.join,
        ),
        rule=Rule(tuple(arguments.labels), arguments.min_overlap, arguments.unmarked),
        cast=cast,
        camera=arguments.camera,
        dialogue_is_path=getattr(arguments, "dialogue", "stem") == "path",
    )


def _encoding(text: str) -> str:
    try:
        return check_encoding(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; such as utf-16, cp1252, cp1251, mac_roman") from None


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a share from 0 to 1")
    return share


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r}: give seconds, such as 0.5")
    return seconds
