"""Subtitles as tools write them: who speaks, what belongs to a cue, and times in every form."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.transcripts.reading import How
from tests.transcripts.made import read, told

SRT = """1
00:00:00,5 --> 00:00:01,250
- Wo warst du?
- Hier.

Immer.

2
100:00:02.100 --> 100:00:03.400 X1:40 X2:600
<i>3 < 4</i> {\\an8}&amp; so &lt;b&gt;
10:30 we meet

00:04 --> 00:05
Mhm: so
"""

TEAMS = """\ufeffWEBVTT

NOTE Created by
Teams --> not a time

0f3a-11/12-0
00:00:01.000 --> 00:00:02.500
<v Müller, Jörg (Guest)>Guten Tag.
<i>Wie geht es?</i></v>

0f3a-11/13-0
00:00:02.500 --> 00:00:04.000 align:start
<v.loud Ann>Good. <v ->(coughs)

NOTE

STYLE
::cue { color: red }

01:04.000 --> 01:05.000
<v SPEAKER_00><c.x>and</c> <00:01:04.500>now
"""


def test_subrip_by_hand(tmp_path: Path) -> None:
    found = read(tmp_path / "a.srt", SRT.replace("\n", "\r\n"))
    assert told(found.tiers[0].marks) == [
        (500, 1250, "", "Wo warst du?"),
        (500, 1250, "", "Hier. Immer."),
        (360002100, 360003400, "", "3 < 4 & so <b> 10:30 we meet"),
        (4000, 5000, "", "Mhm: so"),
    ]
    assert found.notes == {
        "beginnings that may be a speaker's name, and were read as text ('Mhm')": 1,
        "cues of several speakers, which were split": 1,
    }


def test_webvtt_by_teams_and_others(tmp_path: Path) -> None:
    found = read(tmp_path / "visit01.vtt", TEAMS)
    assert told(found.tiers[0].marks) == [
        (1000, 2500, "Müller, Jörg (Guest)", "Guten Tag. Wie geht es?"),
        (2500, 4000, "Ann", "Good."),
        (2500, 4000, "", "(coughs)"),
        (64000, 65000, "visit01 SPEAKER_00", "and now"),
    ]


@pytest.mark.parametrize(
    ("lines", "speakers"),
    [
        (("Ann Lee: Hi", "Bob: Oh", "Ann Lee: Yes", "Bob: No"), ["Ann Lee", "Bob", "Ann Lee", "Bob"]),  # Zoom
        (("[SPEAKER_00]: Hi", "[SPEAKER_01]: Oh"), ["v SPEAKER_00", "v SPEAKER_01"]),  # WhisperX
        (("(speaker 0) Hi", "(speaker ?) Oh"), ["v speaker 0", ""]),  # whisper.cpp
        (("Bob: Hi", "Well: so"), ["Bob", ""]),  # Bob is known
    ],
)
def test_names_before_the_text_are_speakers_if_they_recur_or_are_known(
    tmp_path: Path, lines, speakers
) -> None:
    cues = [f"{n}\n00:00:0{n},000 --> 00:00:0{n},900\n{line}\n" for n, line in enumerate(lines)]
    marks = read(tmp_path / "v.srt", "\n".join(cues), How(known_speakers=frozenset({"Bob"}))).tiers[0].marks
    assert [mark.speaker for mark in marks] == speakers


def test_cues_need_no_numbers_nor_blank_lines(tmp_path: Path) -> None:
    bare = "00:01 --> 00:02\nOne\n\nmore\n00:03 --> 00:04\nTwo\n"
    assert [mark.text for mark in read(tmp_path / "a.srt", bare).tiers[0].marks] == ["One more", "Two"]
    endless = "1\n00:01 --> 00:02\nAt\n" + "9" * 5000 + "\n00:03 --> 00:04\nb"
    assert len(read(tmp_path / "a.srt", endless).tiers[0].marks) == 2
    dense = "1\n00:01 --> 00:02\nAt\n12\n2\n00:03 --> 00:04\n\n3\n00:05 --> 00:06\nThree"
    assert [mark.text for mark in read(tmp_path / "a.srt", dense).tiers[0].marks] == ["At 12", "", "Three"]


def test_captions_that_roll_up_are_refused(tmp_path: Path) -> None:
    said = [f"line number {n}" for n in range(8)]
    cues = [f"00:0{n}.000 --> 00:0{n}.900\n{said[n - 1]}\n{said[n]}\n" for n in range(1, 8)]
    with pytest.raises(UserError, match="captions that roll up"):
        read(tmp_path / "a.vtt", "WEBVTT\n\n" + "\n".join(cues))
    yes = [f"00:0{n}.000 --> 00:0{n}.900\nYes.\n" for n in range(8)]
    assert len(read(tmp_path / "a.vtt", "WEBVTT\n\n" + "\n".join(yes)).tiers[0].marks) == 8


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("1\n00:00:61,0 --> 00:01:02,0\nx", "line 2: 00:61 is no time"),
        ("1\n00:00:01,0 -> x --> 00:01\nx", "is no line of two times"),
        ("just text", "holds no cue"),
        ("1\n00:01 --> 00:02\nпривет".encode("cp1251"), "line 3: byte 0xef is not UTF-8"),
    ],
)
def test_what_is_no_subtitle_is_refused_by_line(tmp_path: Path, content: str | bytes, said: str) -> None:
    with pytest.raises(UserError) as refused:
        read(tmp_path / "a.srt", content)
    assert said in str(refused.value)


def test_cyrillic_is_read_in_the_encoding_that_is_said(tmp_path: Path) -> None:
    content = "1\n00:01 --> 00:02\nпривет".encode("cp1251")
    assert read(tmp_path / "a.srt", content, How(encoding="cp1251")).tiers[0].marks[0].text == "привет"


def test_a_tag_of_many_classes_takes_no_time(tmp_path: Path) -> None:
    cue = "WEBVTT\n\n00:01.000 --> 00:02.000\n<v" + ".a" * 3000 + "\n"
    assert len(read(tmp_path / "a.vtt", cue).tiers[0].marks) == 1
