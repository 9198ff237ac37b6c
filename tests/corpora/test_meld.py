from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from pipeline.corpora.annotations.corpus import Annotation
from pipeline.corpora.meld import Params, read
from pipeline.errors import UserError
from pipeline.manifest import Utterance, read_utterances, write_table

PROJECT = Path(__file__).parents[2]
REAL = PROJECT.parent / "shared" / "data" / "meld"
HEADER = (
    "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
)
FOLDERS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}


def write_corpus(
    root: Path, rows: list[str] | None = None, *, inside: bool = False, encoding: str = "utf-8"
) -> Path:
    for split in FOLDERS:
        folder = root / split if inside else root
        (folder / FOLDERS[split]).mkdir(parents=True)
        text = "\n".join([HEADER, *(rows or ["1,Hi.,Ross,joy,positive,0,0,1,1,0,0"])]) + "\n"
        (folder / f"{split}_sent_emo.csv").write_bytes(text.encode(encoding))
    return root


def read_rows(root: Path) -> list[Annotation]:
    return read(root, Params()).annotations


@pytest.mark.skipif(not REAL.is_dir(), reason="MELD's annotation files are not here")
def test_the_published_utterance_set_is_read_to_the_unit() -> None:
    utterances = [row.utterance for row in read_rows(REAL)]
    assert Counter(u.split for u in utterances) == {"train": 9989, "dev": 1109, "test": 2610}
    dialogues = {(u.split, u.dialogue) for u in utterances}
    assert Counter(split for split, _ in dialogues) == {"train": 1038, "dev": 114, "test": 280}
    counts = {split: Counter(u.label for u in utterances if u.split == split) for split in FOLDERS}
    names = ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")
    assert [counts["train"][name] for name in names] == [4710, 1743, 1205, 1109, 683, 271, 268]
    assert [counts["dev"][name] for name in names] == [470, 163, 150, 153, 111, 22, 40]
    assert [counts["test"][name] for name in names] == [1256, 402, 281, 345, 208, 68, 50]
    assert max(Counter(u.dialogue for u in utterances).values()) == 33


@pytest.mark.parametrize("inside", [False, True])
def test_annotations_may_stand_beside_the_clip_folders_or_with_them(tmp_path: Path, inside: bool) -> None:
    root = write_corpus(tmp_path, inside=inside)
    clips = (root / "test" if inside else root) / FOLDERS["test"]
    (clips / "dia0_utt0.mp4").touch()
    test = read_rows(root)[-1]
    assert (root / test.media).is_file()
    assert test.utterance.id == "test_dia0_utt0"


def test_the_right_cut_is_preferred_and_leftovers_are_ignored(tmp_path: Path) -> None:
    root = write_corpus(tmp_path)
    for name in ("dia0_utt0.mp4", "final_videos_testdia0_utt0.mp4", "._dia0_utt0.mp4", "dia9_utt9.mp4"):
        (root / FOLDERS["test"] / name).touch()
    test = read_rows(root)[-1]
    assert test.media == "output_repeated_splits_test/final_videos_testdia0_utt0.mp4"
    assert len(read_rows(root)) == 3


def test_gaps_in_utterance_numbers_keep_their_order(tmp_path: Path) -> None:
    rows = [f"1,Line {number}.,Ross,joy,positive,3,{number},1,1,0,0" for number in (11, 2, 5)]
    train = [row.utterance for row in read_rows(write_corpus(tmp_path, rows))][:3]
    assert [(u.id, u.position) for u in train] == [
        ("train_dia3_utt2", 0), ("train_dia3_utt5", 1), ("train_dia3_utt11", 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("utf-8", "It’s “me” – é…"),
        ("utf-8-sig", "It’s “me” – é…"),
        ("cp1252", "It’s “me”\xa0– é…"),
        ("utf-8", "It\x92s \x93me\x94 \x96 é\x85"),
    ],
)
def test_every_encoding_reads_to_the_same_text(tmp_path: Path, encoding: str, written: str) -> None:
    root = write_corpus(tmp_path, [f"1,{written},Ross,joy,positive,0,0,1,1,0,0"], encoding=encoding)
    assert read_rows(root)[0].utterance.text == "It’s “me” – é…"


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (["1,Hi.,Ross,happy,positive,0,0,1,1,0,0"], "line 2: emotion 'happy' of dialogue 0, utterance 0"),
        (
            ["1,Hi.,Ross,joy,positive,zero,0,1,1,0,0"],
            "line 2: Dialogue_ID and Utterance_ID must be whole numbers",
        ),
        (["1,Well, hi.,Ross,joy,positive,0,0,1,1,0,0"], "line 2: 12 cells, but the header has 11"),
        (["1,Hi.,Ross,joy"], "line 2: 4 cells, but the header has 11"),
        (
            ['1,"Hi.,Ross,joy,positive,0,0,1,1,0,0', "2,A,R,joy,p,0,1,1,1,0,0"],
            "line 2: unexpected end of data",
        ),
        (["1,H\0i.,Ross,joy,positive,0,0,1,1,0,0"], "line 2: holds a NUL byte"),
        (["1,H\x81i.,Ross,joy,positive,0,0,1,1,0,0"], "line 2: holds a control character"),
        (
            ["1,A,R,joy,p,0,0,1,1,0,0", "2,B,R,joy,p,0,0,1,1,0,0"],
            "line 3: dialogue 0, utterance 0 is annotated more than once, also on line 2",
        ),
        (
            ["1,nan,Ross,joy,positive,0,0,1,1,0,0"],
            "line 2: Utterance 'nan' is what exporters write",
        ),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, rows: list[str], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        read_rows(write_corpus(tmp_path, rows))


def test_words_that_look_alike_are_one_and_it_is_said(tmp_path: Path) -> None:
    rows = ["1,Hi.,Zoe\u0308,joy\u200b,p,0,0,1,1,0,0", "2,Ça va\u00a0?,Zoë,joy,p,0,1,1,1,0,0"]
    found = read(write_corpus(tmp_path, rows), Params())
    train = [row.utterance for row in found.annotations[:2]]
    assert [(row.speaker, row.label, row.text) for row in train] == [
        ("Zoë", "joy", "Hi."), ("Zoë", "joy", "Ça va ?"),
    ]  # fmt: skip
    [remark] = found.remarks
    assert remark.startswith("9 cells, or")
    assert "(Emotion 3, Speaker 3, Utterance 3)" in remark


def test_a_line_end_within_a_cell_is_a_space_and_the_manifest_can_be_read_again(tmp_path: Path) -> None:
    root = write_corpus(tmp_path, ['1,"Hi\r there.\r\nYou.",Ross,joy,positive,0,0,1,1,0,0'])
    utterances = [row.utterance for row in read_rows(root)]
    assert utterances[0].text == "Hi  there. You."
    write_table(tmp_path / "utterances.csv", utterances, Utterance)
    assert read_utterances(tmp_path / "utterances.csv") == utterances


def test_a_table_that_pandas_or_excel_wrote_anew_is_read(tmp_path: Path) -> None:
    root = write_corpus(tmp_path)
    header = f";{HEADER}".replace(",", ";")
    rows = [f'{n};1;"Hi; you.";Ross;joy;p;0;{n}.0;1;1;0;0' for n in (10, 2)]
    (root / "train_sent_emo.csv").write_text("\n".join([header, *rows]))
    assert [row.utterance.id for row in read_rows(root)[:2]] == ["train_dia0_utt2", "train_dia0_utt10"]


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    root = write_corpus(tmp_path)
    with (root / "dev_sent_emo.csv").open("w", newline="") as file:
        csv.writer(file).writerow(["Utterance", "Emotion", "Dialogue_ID", "Utterance_ID"])
    with pytest.raises(UserError, match=r"dev_sent_emo\.csv, line 1: column Speaker is missing"):
        read_rows(root)


def test_a_file_may_hold_lines_of_both_encodings(tmp_path: Path) -> None:
    root = write_corpus(tmp_path)
    rows = ["1,It’s.,Ross,joy,positive,0,0,1,1,0,0", "2,Café,Ross,joy,positive,0,1,1,1,0,0"]
    content = [HEADER.encode(), rows[0].encode("utf-8"), rows[1].encode("cp1252")]
    (root / "train_sent_emo.csv").write_bytes(b"\r\n".join(content))
    assert [row.utterance.text for row in read_rows(root)[:2]] == ["It’s.", "Café"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (HEADER.encode(), "no utterances"),
        (HEADER.encode("utf-16"), "is UTF-16: save it as UTF-8"),
        (HEADER.encode() + b"\n1,\x81,Ross,joy,p,0,0,1,1,0,0", "line 2: neither UTF-8 nor cp1252"),
    ],
)
def test_a_file_that_is_no_annotation_is_named(tmp_path: Path, content: bytes, complaint: str) -> None:
    root = write_corpus(tmp_path)
    (root / "test_sent_emo.csv").write_bytes(content)
    with pytest.raises(UserError, match=rf"test_sent_emo\.csv.*{complaint}"):
        read_rows(root)


def test_several_mistakes_are_told_together_and_the_rest_counted(tmp_path: Path) -> None:
    rows = [f"1,A,R,happy,p,0,{number},1,1,0,0" for number in range(3)]
    with pytest.raises(UserError) as caught:
        read_rows(write_corpus(tmp_path, rows))
    lines = str(caught.value).splitlines()
    assert len(lines) == 6
    assert "train_sent_emo.csv, line 4" in lines[2]
    assert "dev_sent_emo.csv, line 2" in lines[3]
    assert lines[-1] == "and 4 more"


def test_annotations_without_clip_folders_are_a_corpus(tmp_path: Path) -> None:
    root = write_corpus(tmp_path, inside=True)
    for split, folder in FOLDERS.items():
        (root / split / folder).rmdir()
    rows = read_rows(root)
    assert [row.utterance.split for row in rows] == list(FOLDERS)
    assert rows[0].media == "train/train_splits/dia0_utt0.mp4"


def test_clip_folders_may_stand_apart_from_the_annotations(tmp_path: Path) -> None:
    root = write_corpus(tmp_path, inside=True)
    (root / "dev" / "dev_splits_complete").rename(root / "dev_splits_complete")
    (root / "dev_splits_complete" / "dia0_utt0.mp4").touch()
    assert read_rows(root)[1].media == "dev_splits_complete/dia0_utt0.mp4"


def test_an_empty_root_says_what_was_looked_for_and_where(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"looked for train_sent_emo\.csv in .* point the corpus's 'root'"):
        read_rows(tmp_path)
