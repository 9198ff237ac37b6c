"""Praat's files: long, short and hand-made ones are one grammar; encodings; what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.transcripts.reading import How
from tests.transcripts.made import read, text_grid, told

SHORT = """File type = "ooTextFile short"
"TextGrid"

0
3 ! how long it is
<exists>
2
"IntervalTier"
"Ann"
0
3
3
0
0.5
""
0.5
1.25
"He said ""xmin = 5""
and left"
1.2499999
3
"schön"
"TextTier" "peaks" 0 3 1
0.75 "joy"
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_a_short_file_is_read_in_whatever_encoding_praat_chose(tmp_path: Path, encoding: str) -> None:
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    ann, peaks = read(tmp_path / "a.TextGrid", mark + SHORT.encode(encoding)).tiers
    assert told(ann.marks) == [(500, 1250, "", 'He said "xmin = 5" and left'), (1250, 3000, "", "schön")]
    assert (peaks.points, told(peaks.marks)) == (True, [(750, 750, "", "joy")])


def test_an_encoding_is_said_and_never_guessed(tmp_path: Path) -> None:
    content = SHORT.encode("latin-1")
    with pytest.raises(UserError, match=r"line 22: byte 0xf6 is not UTF-8; .* --encoding"):
        read(tmp_path / "a.TextGrid", content)
    ann, _ = read(tmp_path / "a.TextGrid", content, How(encoding="latin-1")).tiers
    assert ann.marks[1].text == "schön"


def test_a_long_file_says_the_same_and_tiers_of_one_name_are_told_apart(tmp_path: Path) -> None:
    tiers = [("  CHI* ", [(0.0, 1.0, 'a "b"'), (1.0, 2.0, "")]), ("Ann", []), ("Ann", [(0.5, 0.5, "!")])]
    found = read(tmp_path / "a.textgrid", text_grid(tiers)).tiers
    assert [tier.name for tier in found] == ["CHI*", "Ann#1", "Ann#2"]
    assert [tier.speaker for tier in found] == ["CHI*", "Ann", "Ann"]
    assert told(found[0].marks) == [(0, 1000, "", 'a "b"')]
    assert told(found[2].marks) == [(500, 500, "", "!")]


def test_a_wrong_count_is_told_and_a_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    whole = text_grid([("Ann", [(0, 1, "a"), (1, 2, "b")]), ("Bob", [(0, 1, "c")])])
    wrong = whole.replace("intervals: size = 2", "intervals: size = 7")
    found = read(tmp_path / "a.TextGrid", wrong)
    assert [len(tier.marks) for tier in found.tiers] == [2, 1]
    assert list(found.notes.values()) == [1]
    for end in range(whole.index('"c"') - 1, 10, -37):
        with pytest.raises(UserError, match=r"a\.TextGrid: "):
            read(tmp_path / "a.TextGrid", whole[:end])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('File type = "ooTextFile"\n"PitchTier"\n0 1', "holds Praat's 'PitchTier', and no TextGrid"),
        ("ooBinaryFile\bTextGrid\x00", "is a binary file of Praat's: save it there as a text file"),
        ("xmin = 0", "line 1: '0' stands where a text should be"),
        (text_grid([("Ann", [(0, 1e300, "a")])]), "tier 'Ann': '1e+300' is no time"),
        (text_grid([("Ann", [(0, 1, "a")])]) + '"more"', "is no kind of tier"),
        (text_grid([("Ann", [(0, 1, "a")])]) + "<x>", "'<x>' stands where nothing should"),
        (text_grid([("Ann", [(0, 1, "a\x01")])]), "holds U+0001, which is no text"),
    ],
)
def test_what_is_no_text_grid_is_refused_by_line(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        read(tmp_path / "a.TextGrid", content)
    assert said in str(refused.value)
