from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.corpora.annotations import rows as annotation_rows
from pipeline.corpora.annotations.corpus import Annotation
from pipeline.corpora.annotations.rows import read_lines
from pipeline.corpora.table import Params, label_names, parse_crop, read, read_table
from pipeline.errors import UserError
from pipeline.manifest import Utterance, read_utterances, write_table

PROJECT = Path(__file__).parents[2]
HEADER = "dialogue,utterance,speaker,text,label,split,media,start_s,end_s,crop"
ROW = "d1,1,Ann,Hello.,joy,train,a.mp4,0.5,2,left"


def write(root: Path, rows: Sequence[str], *, header: str = HEADER, name: str = "annotations.csv") -> Path:
    (root / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return root


def write_objects(root: Path, *objects: Any) -> Path:
    lines = "\n".join(json.dumps(each) for each in objects)
    (root / "annotations.jsonl").write_text(lines + "\n", encoding="utf-8")
    return root


def an_object(**cells: Any) -> dict[str, Any]:
    first = {"dialogue": "d1", "utterance": 1, "speaker": "Ann", "text": "Hello.", "label": "joy"}
    return {**first, "split": "train", "media": "a.mp4", **cells}


def ids(rows: Sequence[Annotation]) -> list[str]:
    return [row.utterance.id for row in rows]


def test_the_three_forms_of_a_table_read_to_the_same(tmp_path: Path) -> None:
    forms = {}
    for name in ("csv", "tsv", "jsonl"):
        (tmp_path / name).mkdir()
    write(tmp_path / "csv", ['d1,1,Ann,"Hello, ""you"".",joy,train,a.mp4,0.5,2,left'])
    row = 'd1\t1\tAnn\t"Hello, ""you""."\tjoy\ttrain\ta.mp4\t0.5\t2\tleft'
    write(tmp_path / "tsv", [row], header=HEADER.replace(",", "\t"), name="annotations.tsv")
    write_objects(tmp_path / "jsonl", an_object(text='Hello, "you".', start_s=0.5, end_s=2, crop="left"))
    for name in ("csv", "tsv", "jsonl"):
        [forms[name]] = read_table(tmp_path / name)
    assert forms["csv"] == forms["tsv"] == forms["jsonl"]
    found = forms["csv"]
    assert (found.utterance.text, found.media, found.start_s, found.end_s, found.crop) == (
        'Hello, "you".', "a.mp4", 0.5, 2.0, "left",
    )  # fmt: skip


def test_the_example_in_the_documentation_is_a_corpus(tmp_path: Path) -> None:
    text = (PROJECT / "docs" / "corpora.md").read_text(encoding="utf-8")
    example = text.split("```csv\n")[1].split("```")[0]
    (tmp_path / "annotations.csv").write_text(example, encoding="utf-8")
    rows = read_table(tmp_path)
    assert len(rows) == len(example.splitlines()) - 1
    assert {row.utterance.split for row in rows} == {"train", "dev", "test"}


def test_utterances_stand_by_number_where_all_have_one_and_else_by_row(tmp_path: Path) -> None:
    rows = [
        "b,10,,x,,train,,,,",
        "b,9,,x,,train,,,,",
        "a,late,,x,,train,,,,",
        "a,2,,x,,train,,,,",
        "a,1,,x,,train,,,,",
        "c,0,,x,,dev,,,,",
    ]
    found = read_table(write(tmp_path, [rows[-1], *rows[:-1]]))
    assert ids(found) == ["a_late", "a_2", "a_1", "b_9", "b_10", "c_0"]
    assert [row.utterance.position for row in found] == [0, 1, 2, 0, 1, 0]


def test_numbers_of_any_length_give_the_order_also_as_pandas_writes_them(tmp_path: Path) -> None:
    rows = [f"a,170000000{number}000,,x,,train,,,," for number in (8, 0, 12, 4)]
    rows += [f"b,{number}.0,,x,,train,,,," for number in (10, 2)] + ['b,"1,0",,x,,train,,,,']
    found = read(write(tmp_path, rows), Params())
    assert ids(found.annotations) == [
        "a_1700000000000", "a_1700000004000", "a_1700000008000", "a_17000000012000", "b_1", "b_2", "b_10",
    ]  # fmt: skip
    assert not found.remarks


@pytest.mark.parametrize(
    ("names", "remark"),
    [
        (
            ("2", "late", "1"),
            r"1 dialogues stand as .* whole numbers, but not all, such as d \('late'\)",
        ),
        (("u1", "u10", "u2"), "the numbers in .* names have another order.*'u10' before 'u2'"),
        (("b", "a"), ""),
        (("u1", "v0", "u2"), ""),
    ],
)
def test_an_order_that_may_not_be_meant_is_told(tmp_path: Path, names: tuple[str, ...], remark: str) -> None:
    found = read(write(tmp_path, [f"d,{name},,x,,train,,,," for name in names]), Params())
    assert ids(found.annotations) == [f"d_{name}" for name in names]
    assert re.search(remark, "\n".join(found.remarks)) if remark else not found.remarks


def test_numbers_that_contradict_the_time_are_told(tmp_path: Path) -> None:
    rows = ["d,0,,x,,train,a.mp4,5,6,", "d,1,,x,,train,a.mp4,0.5,2,", "d,2,,x,,train,b.mp4,0,1,"]
    [remark] = read(write(tmp_path, rows), Params()).remarks
    assert "go back in time within a file" in remark
    assert "d_1 (at 0.5 s, after 5 s)" in remark


def test_words_that_look_alike_are_one_and_it_is_said(tmp_path: Path) -> None:
    rows = [
        "Café,0,Zoë,fröhlich\u00a0!,fröhlich,train,,,,",
        "Cafe\u0301,1,Zoe\u0308\u00a0,fro\u0308hlich\u200b !,fro\u0308hlich\u200b,train,,,,",
        "Cafe\u0301\ufeff,2,\u200eZoë,❤\ufe0f\u200d🔥 می\u200cخواهم,joy\u200d,train\u00ad,,,,",
        "Café,3,Zo\u2060ë,x,joy,train,,,,",
    ]
    found = read(write(tmp_path, rows), Params())
    utterances = [row.utterance for row in found.annotations]
    assert {row.dialogue for row in utterances} == {"Café"}
    assert {row.speaker for row in utterances} == {"Zoë"}
    assert [row.label for row in utterances] == ["fröhlich", "fröhlich", "joy", "joy"]
    # Joiners within emoji and Persian words are part of them.
    assert [row.text for row in utterances[1:3]] == ["fröhlich !", "❤\ufe0f\u200d🔥 می\u200cخواهم"]
    assert found.remarks == [
        "10 cells, or the files that they name, hold decomposed letters, invisible characters or no-break"
        " spaces, and were read as NFC without them (dialogue 2, label 2, speaker 3, split 1, text 2)"
    ]


def test_gaps_of_pandas_are_empty_cells_in_json(tmp_path: Path) -> None:
    nan = float("nan")
    [row] = read_table(
        write_objects(
            tmp_path, an_object(speaker=nan, text=nan, label=nan, media=nan, start_s=nan, end_s=nan)
        )
    )
    assert row.utterance.speaker == row.utterance.text == row.utterance.label == row.media == ""
    assert row.start_s is row.end_s is None
    with pytest.raises(UserError, match="split '' is none of"):
        read_table(write_objects(tmp_path, an_object(split=nan)))


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
def test_the_header_tells_what_separates_cells(tmp_path: Path, delimiter: str) -> None:
    row = ["d1", "1", "Ann", '"Hello; you, there"', "joy", "Validation", "a.mp4", "0.5", "2", "0.5 0 1 1"]
    if delimiter == ";":  # where Excel writes a comma for the point
        row[7:] = ["0,5", "2", "0,5 0 1 1"]
    [found] = read_table(write(tmp_path, [delimiter.join(row)], header=HEADER.replace(",", delimiter)))
    assert (found.start_s, found.end_s, found.crop) == (0.5, 2.0, "0.5 0 1 1")
    assert found.utterance.text == "Hello; you, there"
    assert found.utterance.split == "dev"


def test_times_may_be_those_of_a_clock(tmp_path: Path) -> None:
    rows = ["d1,1,,x,,train,a.mp4,00:01:02.5,62.75,", 'd1,2,,x,,train,a.mp4,"00:01:02,500","1:00:00,125",']
    spans = [(row.start_s, row.end_s) for row in read_table(write(tmp_path, rows))]
    assert spans == [(62.5, 62.75), (62.5, 3600.125)]


def test_several_speakers_are_a_party_of_their_own_in_whatever_order(tmp_path: Path) -> None:
    said = [["Zoe\u0308", "Bob"], "Bob", ["Bob", "Zoë"], ["Bob"], ["Bob", "Bob"], [], "Bob & Zoë"]
    objects = [an_object(utterance=number, speaker=speaker) for number, speaker in enumerate(said)]
    speakers = [row.utterance.speaker for row in read_table(write_objects(tmp_path, *objects))]
    assert speakers == ["Zoë & Bob", "Bob", "Zoë & Bob", "Bob", "Bob", "", "Zoë & Bob"]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_an_utterance_may_be_as_long_as_a_book(tmp_path: Path, form: str) -> None:
    text = " ".join(["word"] * 30_000)
    if form == "csv":
        write(tmp_path, [f'd1,1,Ann,"{text}",joy,train,,,,'])
    else:
        write_objects(tmp_path, an_object(text=text))
    utterances = [row.utterance for row in read_table(tmp_path)]
    write_table(tmp_path / "utterances.csv", utterances, Utterance)
    assert read_utterances(tmp_path / "utterances.csv") == utterances
    assert utterances[0].text == text


def test_optional_columns_may_be_left_out_and_cells_empty(tmp_path: Path) -> None:
    header = "dialogue,utterance,speaker,text,label,split,media"
    [found] = read_table(write(tmp_path, ["d1,1,,,,test,"], header=header))
    assert found.utterance.label == found.utterance.speaker == found.media == found.crop == ""
    assert found.start_s is found.end_s is None


def test_a_cell_with_line_breaks_is_one_utterance(tmp_path: Path) -> None:
    rows = ['d1,1,Ann,"Hello.\nYou.",joy,train,,,,', "d1,2,Bob,Hi.,sad,train,,,,"]
    assert [row.utterance.text for row in read_table(write(tmp_path, rows))] == ["Hello. You.", "Hi."]
    with pytest.raises(UserError, match="line 4, utterance 'd1_2': split"):
        read_table(write(tmp_path, [rows[0], rows[1].replace("train", "trian")]))


def test_annotations_that_are_no_file_or_far_too_large_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(UserError, match=r"pipe\.txt: is no file"):
        read_lines(tmp_path / "pipe.txt")
    monkeypatch.setattr(annotation_rows, "MOST_BYTES", 2**20)
    path = write(tmp_path, ["d1,1,Ann,x,joy,train,,,,"]) / "annotations.csv"
    assert len(read_lines(path)) == 2
    os.truncate(path, 2**40)  # of which the disk holds nothing
    with pytest.raises(UserError, match=r"annotations\.csv: is larger than 1 MB: is it the right file"):
        read_lines(path)


def test_the_classes_are_those_that_occur(tmp_path: Path) -> None:
    rows = ["d1,1,,x,sad,train,,,,", "d1,2,,x,,train,,,,", "d2,1,,x,joy,test,,,,"]
    labels = (row.utterance.label for row in read_table(write(tmp_path, rows)))
    assert label_names(labels) == ("joy", "sad")


def test_a_crop_just_as_thin_as_may_be_is_taken_wherever_it_is() -> None:
    for left in range(100):
        crop = f"{left / 100} 0 {(left + 1) / 100} 1"
        assert parse_crop(crop) == crop


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (",1,Ann,x,joy,train,a.mp4,,,", "dialogue is empty"),
        ("d1,,Ann,x,joy,train,a.mp4,,,", "utterance is empty"),
        ("d1,2,Ann,x,joy,eval,a.mp4,,,", "utterance 'd1_2': split 'eval' is none of train, dev, test"),
        (f"d1,2,Ann,x,{'joy ' * 30},train,a.mp4,,,", "of 119 characters is no name of a class"),
        ("d1,2,Ann,x,-1.6,train,a.mp4,,,", "label '-1.6' is a measure: write the class"),
        ('d1,2,Ann,x,"2,5",train,a.mp4,,,', "label '2,5' is a measure: write the class"),
        ("d1,2,Ann,x,ｊｏｙ,train,a.mp4,,,", "label 'ｊｏｙ' does not agree with 'joy' on line 2"),
        (
            "d1,2,Ann,x,nan,train,a.mp4,,,",
            "label 'nan' is what exporters write for a gap: leave",
        ),
        (
            "d1,2,None,x,joy,train,a.mp4,,,",
            r"speaker 'None' .* write it otherwise \(None\.\)",
        ),
        ("d1,2,Ann,NULL,joy,train,a.mp4,,,", "text 'NULL' is what exporters write"),
        ("d1,2,Ann,x,joy,train,N/A,,,", "media 'N/A' is what exporters write"),
        ("d1,2,\"['Ann', 'Bob']\",x,joy,train,a.mp4,,,", "is a list as Python prints it: write Ann & Bob"),
        ("d1,2,An\x07n,x,joy,train,a.mp4,,,", "speaker .* holds a control character"),
        ("d1,2,Ann,x,joy,train,a.mp4,0,00:00:61,", "start_s '0' and end_s '00:00:61' must be seconds"),
        ("d1,2,Ann,x,joy,test,a.mp4,,,", "split 'test' does not agree with 'train' on line 2"),
        ("d1,2,Ann,x,Joy,train,a.mp4,,,", "label 'Joy' does not agree with 'joy' on line 2"),
        ("d1,1,Ann,x,joy,train,a.mp4,,,", "utterance 'd1_1': also stands on line 2"),
        ("d1,2,Ann,x,joy,train,a.mp4,1,,", "start_s and end_s must both be given"),
        ("d1,2,Ann,x,joy,train,a.mp4,2,2,", "end_s 2 must be greater than start_s 2"),
        ("d1,2,Ann,x,joy,train,a.mp4,3,2,", "end_s 2 must be greater than start_s 3"),
        ("d1,2,Ann,x,joy,train,a.mp4,-1,2,", "start_s -1 lies before the file's start"),
        ("d1,2,Ann,x,joy,train,a.mp4,nan,2,", "must be finite"),
        ("d1,2,Ann,x,joy,train,a.mp4,0,inf,", "must be finite"),
        ("d1,2,Ann,x,joy,train,a.mp4,00:01,2,", "start_s '00:01' and end_s '2' must be seconds"),
        ("d1,2,Ann,x,joy,train,a.mp4,,,top", "crop 'top' must be left, right, or"),
        ("d1,2,Ann,x,joy,train,a.mp4,,,0 0 2 1", "crop '0 0 2 1' must be"),
        ("d1,2,Ann,x,joy,train,a.mp4,,,0.5 0 0.5 1", "crop '0.5 0 0.5 1' must be"),
        ("d1,2,Ann,x,joy,train,a.mp4,,,0.5 0 0.501 1", "line 3.*crop '0.5 0 0.501 1' must be.*0.01 apart"),
        ("d1,2,Ann,x,joy,train,a.mp4,,,nan 0 1 1", "crop 'nan 0 1 1' must be"),
        ("d1,2,Ann,x,joy,train,../a.mp4,,,", r"media '../a.mp4' must be relative .*outside_media: true"),
        ("d1,2,Ann,x,joy,train,clips/../a.mp4,,,", "must be relative"),
        ("d1,2,Ann,x,joy,train,/data/a.mp4,,,", "media '/data/a.mp4' must be relative"),
        ("d1,2,Ann,x,joy,train,clips\\a.mp4,,,", "with forward slashes"),
        ("d1,2,Ann,x,joy,train,a.mp4", "line 3: 7 cells, but the header has 10"),
        ("d1,2,Ann,well, x,joy,train,a.mp4,,,", "line 3: 11 cells, but the header has 10"),
        ('d1,2,Ann,"x,joy,train,a.mp4,,,', "line 3: unexpected end of data"),
        ("d1,2,Ann,x\0,joy,train,a.mp4,,,", "line 3: holds a NUL byte"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_utterance(tmp_path: Path, row: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as caught:
        read_table(write(tmp_path, [ROW, row]))
    assert "annotations.csv, line 3" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("[1, 2]", "must be one JSON object"),
        ('{"dialogue": "d1"', "not JSON"),
        ("[" * 100_000, "not JSON"),
        (
            json.dumps(an_object(utterance=True)),
            "utterance must be text, a number or null, not true or false",
        ),
        (json.dumps(an_object(text=["a"])), "text must be .*, not a list"),
        (json.dumps(an_object(text={"a": 1})), "text must be .*, not an object"),
        (json.dumps(an_object(text="a\0")), "text holds a character that is none"),
        (json.dumps(an_object(text="\ud800")), "text holds a character that is none"),
        (json.dumps(an_object(start_s=float("nan"), end_s=1)), "start_s and end_s must both be given"),
        (json.dumps(an_object(label=float("inf"))), "label must be text, a number or null, not infinite"),
        (json.dumps(an_object(speaker=["Ann", 7, ["Bob"]])), "speaker must be .*, not a list"),
        (json.dumps(an_object(speker="Ann")), r"unknown column 'speker' \(did you mean 'speaker'\?\)"),
        (json.dumps({"dialogue": "d1"}), "column utterance is missing"),
        (json.dumps(an_object())[:-1] + ', "split": "test"}', "column split stands there more than once"),
    ],
)
def test_a_bad_json_line_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    (tmp_path / "annotations.jsonl").write_text(f"\n{line}\n", encoding="utf-8")
    with pytest.raises(UserError, match=rf"annotations\.jsonl, line 2.*{complaint}"):
        read_table(tmp_path)


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        (HEADER.replace("speaker,", ""), "line 1: column speaker is missing"),
        (HEADER.replace("crop", "corp"), r"unknown column 'corp' \(did you mean 'crop'\?\)"),
        (HEADER + ",text", "column text stands there more than once"),
        (HEADER.replace(",", "|"), "unknown column 'dialogue|utterance|"),
        ("," + HEADER, r"line 1: column 1 has no name \(''\): delete it; pandas .* index=False"),
        ("Unnamed: 0," + HEADER, r"column 1 has no name \('Unnamed: 0'\)"),
    ],
)
def test_a_header_that_does_not_fit_is_named(tmp_path: Path, header: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        read_table(write(tmp_path, [ROW], header=header))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        ("\u2028\n".encode(), "line 1: column 1 has no name"),
        (HEADER.encode(), "no utterances below the header"),
        (HEADER.encode("utf-16"), "is UTF-16"),
        (f"{HEADER}\nd1,1,Jürgen,x,joy,train,,,,".encode("cp1252"), "line 2: byte 0xfc is not UTF-8"),
    ],
)
def test_a_file_that_is_no_table_is_named(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "annotations.csv").write_bytes(content)
    with pytest.raises(UserError, match=rf"annotations\.csv.*{complaint}"):
        read_table(tmp_path)


def test_there_must_be_one_table_and_no_more(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no table of annotations; put there one of annotations\.csv"):
        read_table(tmp_path)
    write(tmp_path, [ROW])
    write_objects(tmp_path, an_object())
    with pytest.raises(UserError, match=r"holds annotations\.csv, annotations\.jsonl; keep one of"):
        read_table(tmp_path)


def test_five_mistakes_are_told_and_the_rest_counted(tmp_path: Path) -> None:
    rows = [f"d1,{number},Ann,x,joy,eval,a.mp4,,," for number in range(7)]
    with pytest.raises(UserError) as caught:
        read_table(write(tmp_path, rows))
    lines = str(caught.value).splitlines()
    assert [line.split(", ")[1] for line in lines[:-1]] == [f"line {n}" for n in range(2, 7)]
    assert lines[-1] == "and 2 more"


def test_a_link_out_of_the_root_is_refused_unless_params_allow_it(tmp_path: Path) -> None:
    root, outside = tmp_path / "corpus", tmp_path / "elsewhere"
    root.mkdir()
    outside.mkdir()
    (outside / "a.mp4").touch()
    (root / "clips").symlink_to(outside)
    (root / "own").mkdir()
    (root / "linked").symlink_to(root / "own")
    (root / "loop").symlink_to(root / "loop")
    [inside] = read_table(write(root, ["d1,1,,x,,train,./linked//a.mp4,,,"]))
    assert inside.media == "linked/a.mp4"
    for media in ("clips/a.mp4", "../elsewhere/a.mp4", str(outside / "a.mp4")):
        write(root, [f"d1,1,,x,,train,{media},,,"])
        with pytest.raises(UserError, match="line 2, utterance 'd1_1': media"):
            read_table(root)
        [found] = read_table(root, outside_media=True)
        assert (root / found.media).is_file()
    with pytest.raises(UserError, match="link that leads"):
        read_table(write(root, ["d1,1,,x,,train,loop/a.mp4,,,"]))


def test_params_say_whether_media_may_lie_outside(tmp_path: Path) -> None:
    write(tmp_path, ["d1,1,,x,,train,/data/a.mp4,,,"])
    with pytest.raises(UserError, match=r"annotations\.csv, line 2"):
        read(tmp_path, Params())
    assert read(tmp_path, Params(outside_media=True)).annotations[0].media == "/data/a.mp4"
