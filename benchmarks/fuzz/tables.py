"""Annotations of every format, sound and then damaged.

Each must be refused in a few printable lines that name the file, or be read whole: every line of it is an
utterance, the lines that the damage left alone say what they said, and what is read can be written and read
again.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.fuzz.mutation import damage
from pipeline.corpora import meld
from pipeline.corpora.annotations.cells import plain
from pipeline.corpora.annotations.corpus import SPLITS, Annotation
from pipeline.corpora.annotations.doubts import find_doubts
from pipeline.corpora.annotations.rows import Mistakes
from pipeline.corpora.iemocap import LABELS, OTHER_LABELS, _read_evaluations
from pipeline.corpora.table import COLUMNS, OPTIONAL_COLUMNS, Params, read
from pipeline.errors import UserError, printable
from pipeline.manifest import Utterance, read_utterances, write_table

ALL_COLUMNS = (*COLUMNS, *OPTIONAL_COLUMNS)
MELD_COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
WORDS = (
    *("oh", "Hi there.", "I don't know", "über", "悲しい", "😀", "e\u0301", "so", "", "well, no"),
    'he said "no"',
)
# A cell within quotes may hold line ends, and so may whole rows where quotes came in or were lost.
QUOTES = b'"'

Row = dict[str, Any]


def make(random: Random, folder: Path) -> None:
    """Write the annotations of a corpus into an empty folder, and how they were before the damage."""
    form = random.choice(("csv", "tsv", "excel.csv", "jsonl", "meld", "iemocap"))
    rows = [_row(random, place, len(form) % 2 == 0) for place in range(random.randint(1, 12))]
    text = _WRITERS[form](random, rows)
    content = text.encode() if random.random() < 0.1 else damage(random, text)
    (folder / {"meld": "train_sent_emo.csv", "iemocap": "Ses01F_impro01.txt"}.get(
        form, f"annotations.{form.rpartition('.')[2]}"
    )).write_bytes(content)  # fmt: skip
    (folder / "sound.txt").write_bytes(text.encode())
    if form == "meld":
        for split in ("dev", "test"):
            (folder / f"{split}_sent_emo.csv").write_text(_as_meld(random, rows[:1]), encoding="utf-8")


def _row(random: Random, place: int, timed: bool) -> Row:
    row = {
        "dialogue": f"d{place // 5}",
        "utterance": str(place % 5),
        "speaker": random.choice(("Ann", "Bob", "Zoë", "")),
        "text": random.choice(WORDS) + f" {place}",
        "label": random.choice(("joy", "anger", "neutral")),
        "split": "train",
        "media": f"clips/{place}.mp4",
    }
    if timed:
        row |= {
            "start_s": f"{place}.5",
            "end_s": f"{place + 1}",
            "crop": random.choice(("", "left", "0 0 .5 1")),
        }
    return row


def _as_csv(delimiter: str) -> Callable[[Random, list[Row]], str]:
    def write(random: Random, rows: list[Row]) -> str:
        text = io.StringIO()
        quoting: Any = random.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
        writer = csv.DictWriter(
            text, list(rows[0]), delimiter=delimiter, lineterminator="\n", quoting=quoting
        )
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    return write


def _as_json_lines(random: Random, rows: list[Row]) -> str:
    values = {
        "label": (None, math.nan, "joy"),
        "start_s": (1, 1.5, "1"),
        "end_s": (20, 30.5),
        "utterance": (),
    }
    lines = []
    for row in rows:
        for column, others in values.items():
            if column in row and others and random.random() < 0.3:
                row = row | {column: random.choice(others)}
        lines.append(json.dumps(row, ensure_ascii=random.random() < 0.5))
    return "\n".join(lines) + "\n"


def _as_meld(random: Random, rows: list[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=random.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)))
    writer.writerow(MELD_COLUMNS)
    for row in rows:
        writer.writerow((row["text"], row["speaker"], row["label"], row["dialogue"][1:], row["utterance"]))
    return text.getvalue()


def _as_iemocap(random: Random, rows: list[Row]) -> str:
    lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    for place in range(len(rows)):
        label = random.choice((*LABELS, *OTHER_LABELS))
        lines += [
            f"[{place}.29 - {place + 1}.22]\tSes01F_impro01_{random.choice('FM')}{place:03d}\t{label}\t[2.5]",
            *(f"C-E{rater}:\t{random.choice(('Happiness', 'Neutral', 'Anger'))};\t()" for rater in (2, 3, 4)),
            "C-F1:\tNeutral;\t()",
            "A-E3:\tval 3; act 2; dom  2;\t()",
            "",
        ]
    return "\n".join(lines)


_WRITERS: dict[str, Callable[[Random, list[Row]], str]] = {
    "csv": _as_csv(","),
    "tsv": _as_csv("\t"),
    "excel.csv": _as_csv(";"),
    "jsonl": _as_json_lines,
    "meld": _as_meld,
    "iemocap": _as_iemocap,
}


def attempt(folder: Path) -> str:
    """``read`` or ``refused``; an error where the annotations are treated in any other way."""
    (path,) = (path for path in folder.iterdir() if path.name.startswith(("annotations", "train", "Ses")))
    try:
        if path.name.startswith("Ses"):
            _check_evaluations(path)
            return "read"
        annotations = (
            meld.read(folder, meld.Params()).annotations
            if path.name.startswith("train")
            else read(folder, Params()).annotations
        )
    except UserError as error:
        said = str(error)
        assert said == printable(said), said
        assert str(folder) in said, said
        return "refused"
    _check_whole(annotations, folder)
    _check_rows([row.utterance for row in annotations if row.utterance.split == "train"], path)
    return "read"


def _check_whole(annotations: list[Annotation], folder: Path) -> None:
    utterances = [row.utterance for row in annotations]
    assert len({row.id for row in utterances}) == len(utterances)
    seen: dict[str, int] = {}
    for row in annotations:
        utterance = row.utterance
        assert utterance.split in SPLITS
        assert utterance.position == seen.get(utterance.dialogue, 0)
        seen[utterance.dialogue] = utterance.position + 1
        if row.start_s is not None or row.end_s is not None:
            assert row.start_s is not None
            assert row.end_s is not None
            assert 0 <= row.start_s < row.end_s < math.inf
        assert not row.media or (folder / row.media).resolve().is_relative_to(folder.resolve())
    for doubt in find_doubts(annotations):
        printable(doubt).encode()
    write_table(folder / "utterances.csv", utterances, Utterance)
    assert read_utterances(folder / "utterances.csv") == utterances


def _check_rows(utterances: list[Utterance], path: Path) -> None:
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    sound = path.with_name("sound.txt").read_bytes()
    lines = [line for line in content.splitlines() if line.strip()]
    header = 0 if path.suffix == ".jsonl" else 1
    damaged_quotes = header and content.count(QUOTES) != sound.count(QUOTES)
    if header == 0 or QUOTES not in content:
        assert len(utterances) == len(lines) - header, f"{len(utterances)} of {len(lines) - header} rows"
    said = {" ".join(row.text.split()) for row in utterances}
    for line in set(lines) & set(sound.splitlines()[header:]):
        texts = _texts(line, path)
        assert not texts or damaged_quotes or texts & said, line


def _texts(line: bytes, path: Path) -> set[str]:
    """What a line that is whole may say: one of its cells is the text."""
    text = line.decode()
    if path.suffix == ".jsonl":
        cells = list(map(str, json.loads(text).values()))
    else:
        cells = [cell for mark in ",;\t" for row in csv.reader([text], delimiter=mark) for cell in row]
    return {" ".join(plain(cell).split()) for cell in cells}


def _check_evaluations(path: Path) -> None:
    mistakes = Mistakes()
    evaluations = _read_evaluations(path, {}, mistakes)
    mistakes.refuse()
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    lines = [line for line in content.splitlines() if not line.startswith(b"%")]
    summaries = [line for line in lines if line.startswith(b"[")]
    assert len(evaluations) == len(summaries), f"{len(evaluations)} of {len(summaries)} summaries"
    lost = [line for line in lines if b"Ses01F_impro01_" in line and line not in summaries]
    assert not lost, lost
