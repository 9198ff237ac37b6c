"""Whatever a table holds, all of its rows are read or it is refused in words."""

from __future__ import annotations

import csv
import json
import math
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.corpora import meld
from pipeline.corpora.annotations.corpus import SPLITS
from pipeline.corpora.table import COLUMNS, OPTIONAL_COLUMNS, read_table
from pipeline.errors import UserError
from pipeline.manifest import Utterance, read_utterances, write_table

ALL_COLUMNS = [*COLUMNS, *OPTIONAL_COLUMNS]
MELD_COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
TEXT = st.text(max_size=8) | st.sampled_from(
    ["a,b", '"', "a\nb", "\r", "\0", "\x92", "\ufeff", "\u2028", "'"]
)
SPAN = st.sampled_from(["", "0", "1.5", "2", "-1", "nan", "inf", "1e999", "1,5", "0x1", " 3 "]) | TEXT
PATHS = st.sampled_from(
    ["", "a.mp4", "b/a.mp4", "./a.mp4", "../a", "/etc/a", "~/a", "b/../../a", "a\\b", ".", "a" * 5000]
)
PLAUSIBLE = {
    "dialogue": st.sampled_from(["d1", "d2", "3", " d1 "]) | TEXT,
    "utterance": st.sampled_from(["0", "1", "2", "01", "1.0", "²", "9" * 5000]) | TEXT,
    "speaker": TEXT,
    "text": TEXT,
    "label": st.sampled_from(["", "joy", "Joy", "anger"]) | TEXT,
    "split": st.sampled_from([*SPLITS, "train", "Test"]) | TEXT,
    "media": PATHS | TEXT,
    "start_s": SPAN,
    "end_s": SPAN,
    "crop": st.sampled_from(["", "left", "right", "0 0 1 1", "0 0 0 1", "nan 0 1 1", "1 2 3"]) | TEXT,
}
# Mostly sound cells, so that not every table fails at its first row.
SOUND = {
    "dialogue": st.sampled_from(["d1", "d2"]),
    "utterance": st.integers(0, 30).map(str),
    "label": st.sampled_from(["", "joy", "anger"]),
    "split": st.just("train"),
    "media": st.sampled_from(["", "a.mp4", "b/c.mp4"]),
    "start_s": st.just(""),
    "end_s": st.just(""),
    "crop": st.sampled_from(["", "left", "0 0 1 1"]),
}
LETTERS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=8)
SOUND_ROWS = st.lists(
    st.fixed_dictionaries({column: SOUND.get(column, LETTERS) for column in ALL_COLUMNS}),
    min_size=1,
    max_size=6,
    unique_by=lambda row: (row["dialogue"], row["utterance"]),
)
ROWS = SOUND_ROWS | st.lists(st.fixed_dictionaries(PLAUSIBLE), max_size=4)


VALUES = st.none() | st.booleans() | st.integers() | st.floats()


def check(root: Path, rows: int | None) -> None:
    """Read a table; if it is not refused in words, it must be whole, ordered and fit to be written."""
    try:
        found = read_table(root)
    except UserError as error:
        str(error).encode()  # a message that cannot be printed would end in a traceback
        return
    utterances = [row.utterance for row in found]
    assert rows is None or len(found) == rows
    assert len({u.id for u in utterances}) == len(utterances)
    assert [SPLITS.index(u.split) for u in utterances] == sorted(SPLITS.index(u.split) for u in utterances)
    seen: Counter[str] = Counter()
    for before, u in zip([None, *utterances], utterances, strict=False):
        assert u.position == seen[u.dialogue]
        assert u.position == 0 or (before is not None and before.dialogue == u.dialogue)
        seen[u.dialogue] += 1
    for row in found:
        assert (row.start_s is None) == (row.end_s is None)
        if row.start_s is not None and row.end_s is not None:
            assert 0 <= row.start_s < row.end_s < math.inf
        assert row.media == "" or (root / row.media).resolve().is_relative_to(root.resolve())
    write_table(root / "utterances.csv", utterances, Utterance)
    assert read_utterances(root / "utterances.csv") == utterances


@settings(deadline=None, max_examples=150)
@given(rows=ROWS, delimiter=st.sampled_from([("csv", ","), ("tsv", "\t")]))
def test_every_row_of_a_delimited_table_is_read_or_the_table_refused(
    rows: list[dict[str, str]], delimiter: tuple[str, str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"annotations.{delimiter[0]}")
        with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
            writer = csv.writer(file, delimiter=delimiter[1], lineterminator="\n", quoting=csv.QUOTE_ALL)
            writer.writerows([ALL_COLUMNS, *([row[column] for column in ALL_COLUMNS] for row in rows)])
        check(Path(folder), len(rows))


@settings(deadline=None, max_examples=150)
@given(rows=ROWS, values=st.just([]) | st.lists(VALUES, max_size=4))
def test_every_row_of_json_lines_is_read_or_the_table_refused(
    rows: list[dict[str, str]], values: list[object]
) -> None:
    objects = [{**row, **dict(zip(ALL_COLUMNS[::-1], values, strict=False))} for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        lines = [json.dumps(each) for each in objects]
        Path(folder, "annotations.jsonl").write_text("\n".join(lines), encoding="utf-8")
        check(Path(folder), len(objects))


@settings(deadline=None, max_examples=100)
@given(
    lines=st.lists(st.lists(TEXT, max_size=12).map(",".join) | TEXT, max_size=6),
    name=st.sampled_from(["annotations.csv", "annotations.tsv", "annotations.jsonl"]),
    with_header=st.booleans(),
)
def test_unquoted_and_ragged_lines_never_end_in_a_traceback(
    lines: list[str], name: str, with_header: bool
) -> None:
    header = [("\t" if name.endswith("tsv") else ",").join(ALL_COLUMNS)] if with_header else []
    with tempfile.TemporaryDirectory() as folder:
        content = "\n".join([*header, *lines]).encode("utf-8", "surrogatepass")
        Path(folder, name).write_bytes(content)
        check(Path(folder), None)


@settings(deadline=None, max_examples=100)
@given(content=st.binary(max_size=200), name=st.sampled_from(["csv", "tsv", "jsonl"]))
def test_bytes_of_any_kind_never_end_in_a_traceback(content: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, f"annotations.{name}").write_bytes(content)
        check(Path(folder), None)


WORDS = st.text("abcé’", max_size=6)
DAMAGE = st.sampled_from(["", *',\t"\n\r\0\x92 1-{}\ufeff'])


def sound_lines(form: str, said: list[tuple[str, str]]) -> list[str]:
    """A table of one dialogue, header included, of the (speaker, text) pairs ``said``."""
    if form == "meld":
        return [",".join(MELD_COLUMNS), *(f"{text},{who},joy,0,{n}" for n, (who, text) in enumerate(said))]
    rows = [
        ("d", str(n), who, text, "joy", "train", f"{n}.mp4", "1", "2.5", "left")
        for n, (who, text) in enumerate(said)
    ]
    if form == "jsonl":
        return [json.dumps(dict(zip(ALL_COLUMNS, row, strict=True)), ensure_ascii=False) for row in rows]
    return [("\t" if form == "tsv" else ",").join(row) for row in (ALL_COLUMNS, *rows)]


def read_training_split(root: Path, form: str, content: str) -> list[Utterance]:
    """The training utterances of a corpus whose table, or MELD's for that split, has this content."""
    name = "train_sent_emo.csv" if form == "meld" else f"annotations.{form}"
    (root / name).write_text(content, encoding="utf-8", newline="")
    for split in ("dev", "test"):
        other_split = "\n".join(sound_lines("meld", [("Ross", "Hi.")]))
        (root / f"{split}_sent_emo.csv").write_text(other_split, encoding="utf-8")
    found = meld.read(root, meld.Params()).annotations if form == "meld" else read_table(root)
    return [row.utterance for row in found if row.utterance.split == "train"]


@settings(deadline=None, max_examples=300)
@given(
    form=st.sampled_from(["csv", "tsv", "jsonl", "meld"]),
    said=st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=5),
    from_the_end=st.integers(0, 300),
    length=st.integers(0, 3),
    inserted=DAMAGE,
)
def test_damage_at_one_place_of_a_sound_table_costs_no_row_unseen(
    form: str, said: list[tuple[str, str]], from_the_end: int, length: int, inserted: str
) -> None:
    lines = sound_lines(form, said)
    sound = "\n".join(lines) + "\n"
    start = len(sound) - from_the_end % len(sound)
    damaged = sound[:start] + inserted + sound[start + length :]
    with tempfile.TemporaryDirectory() as folder:
        try:
            read = read_training_split(Path(folder), form, damaged)
        except UserError:
            return
    header = len(lines) - len(said)
    assert (
        len(read) == sum(1 for line in damaged.removeprefix("\ufeff").splitlines() if line.strip()) - header
    )
    whole = set(damaged.split("\n"))
    assert {(u.speaker, u.text) for u in read} >= {
        pair for pair, line in zip(said, lines[header:], strict=True) if line in whole
    }


MELD_CELLS = st.fixed_dictionaries(
    {
        "Utterance": TEXT,
        "Speaker": TEXT,
        "Emotion": st.sampled_from(["joy", "Anger ", "neutral"]) | TEXT,
        "Dialogue_ID": st.sampled_from(["0", "1", "2 ", "-1", "1.0", "²", "9" * 5000]) | TEXT,
        "Utterance_ID": st.integers(0, 9).map(str) | TEXT,
    }
)
SOUND_MELD_ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 50), LETTERS).map(
        lambda row: {
            "Utterance": row[2],
            "Speaker": "Ross",
            "Emotion": "joy",
            "Dialogue_ID": str(row[0]),
            "Utterance_ID": str(row[1]),
        }
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda row: (row["Dialogue_ID"], row["Utterance_ID"]),
)


@settings(deadline=None, max_examples=150)
@given(rows=SOUND_MELD_ROWS | st.lists(MELD_CELLS, max_size=4), quoting=st.sampled_from([0, 1]))
def test_every_row_of_melds_annotations_is_read_or_the_corpus_refused(
    rows: list[dict[str, str]], quoting: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for split in SPLITS:
            path = Path(folder, f"{split}_sent_emo.csv")
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(MELD_COLUMNS), lineterminator="\n", quoting=quoting)
                writer.writeheader()
                writer.writerows(rows)
        try:
            found = meld.read(Path(folder), meld.Params()).annotations
        except UserError as error:
            str(error).encode()
            return
        assert len(found) == 3 * len(rows)
        assert [row.utterance.position for row in found if row.utterance.position == 0]
