"""ELAN's files: slots in any order or without a time, references, units, media, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import UserError
from tests.transcripts.made import Eaf, read, told


def test_annotations_of_annotations_have_the_time_of_what_they_belong_to(tmp_path: Path) -> None:
    eaf = Eaf()
    ann = eaf.aligned("Ann", [(500, 1500, "Hello"), (2000, 2500, "")], PARTICIPANT="MULTI")
    codes = eaf.referring("code@Ann", [(ann[0], "x"), (ann[1], "y")], parent="Ann", first=True)
    eaf.referring("emotion@Ann", [(codes[0], "joy")], parent="code@Ann", first=True)
    tiers = {tier.name: tier for tier in read(tmp_path / "a.eaf", eaf.text()).tiers}
    assert list(tiers) == ["emotion@Ann", "code@Ann", "Ann"]
    assert told(tiers["Ann"].marks) == [(500, 1500, "", "Hello"), (2000, 2500, "", "")]
    assert told(tiers["emotion@Ann"].marks) == [(500, 1500, "", "joy")]
    assert {tier.speaker for tier in tiers.values()} == {"Ann"}
    assert {tier.participant for tier in tiers.values()} == {"MULTI"}
    assert tiers["emotion@Ann"].parent == "code@Ann"


def test_what_has_no_time_of_its_own_shares_the_gap_evenly(tmp_path: Path) -> None:
    eaf = Eaf()
    eaf.subdivided("Ann", 1000, 4000, ["one", "two", "three"])
    whole = eaf.aligned("Bob", [(4000, 5000, "four five")])
    eaf.referring("words@Bob", [(whole[0], "four"), (whole[0], "five")], parent="Bob")
    ann, bob, words = read(tmp_path / "a.eaf", eaf.text()).tiers
    assert told(ann.marks) == [(1000, 2000, "", "one"), (2000, 3000, "", "two"), (3000, 4000, "", "three")]
    assert (ann.untimed, bob.untimed, words.untimed) == (3, 0, 2)
    assert told(words.marks) == [(4000, 4500, "", "four"), (4500, 5000, "", "five")]


def with_previous(text: str, previous: dict[str, str]) -> str:
    for id, before in previous.items():
        text = text.replace(f'_ID="{id}"', f'_ID="{id}" PREVIOUS_ANNOTATION="{before}"')
    return text


def test_annotations_of_one_parent_are_in_the_order_that_they_say(tmp_path: Path) -> None:
    eaf = Eaf()
    (whole,) = eaf.aligned("Ann", [(0, 3000, "one two three")])
    one, three, two = eaf.referring(
        "w@Ann", [(whole, text) for text in ("one", "three", "two")], parent="Ann"
    )
    text = with_previous(eaf.text(), {three: two, two: one})
    _, words = read(tmp_path / "a.eaf", text).tiers
    assert {mark.text: mark.start_ms for mark in words.marks} == {"one": 0, "two": 1000, "three": 2000}


@pytest.mark.parametrize(
    "previous",
    [
        {"a3": "a2", "a4": "a2"},
        {"a3": "a4", "a4": "a3"},
        {"a4": "a9"},
        {"a4": "a3"},
        {"a2": "a2", "a3": "a2"},
    ],
)
def test_annotations_of_one_parent_in_no_one_order_are_refused(
    tmp_path: Path, previous: dict[str, str]
) -> None:
    eaf = Eaf()
    (whole,) = eaf.aligned("Ann", [(0, 3000, "one two three")])
    eaf.referring("w@Ann", [(whole, text) for text in ("one", "two", "three")], parent="Ann")
    with pytest.raises(
        UserError, match=r"a\.eaf: line 6: annotation 'a\d' has the PREVIOUS_ANNOTATION '.*those of 'a1'"
    ):
        read(tmp_path / "a.eaf", with_previous(eaf.text(), previous))


def test_media_are_known_by_their_base_names_and_origins(tmp_path: Path) -> None:
    eaf = Eaf().medium("file:///Users/anna/u%CC%88bung%201.wav", origin=5230)
    eaf.medium("C:\\films\\b.mp4")
    eaf.aligned("Ann", [(0, 1, "x")])
    assert read(tmp_path / "a.eaf", eaf.text()).media == (("übung 1.wav", 5230), ("b.mp4", 0))


@pytest.mark.parametrize(("units", "ms"), [("PAL-frames", 1000), ("NTSC-frames", 834), ("milliseconds", 25)])
def test_frames_are_no_milliseconds(tmp_path: Path, units: str, ms: int) -> None:
    eaf = Eaf(units)
    eaf.aligned("Ann", [(0, 25, "x")])
    assert read(tmp_path / "a.eaf", eaf.text()).tiers[0].marks[0].end_ms == ms


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_xml_in_another_encoding_that_it_names_is_read(tmp_path: Path, encoding: str) -> None:
    eaf = Eaf()
    eaf.aligned("Zoe\u0308", [(0, 1000, "schön & gut")])
    content = eaf.text().replace('encoding="UTF-8"', f'encoding="{encoding.removesuffix("-sig")}"')
    tier = read(tmp_path / "a.eaf", content.encode(encoding)).tiers[0]
    assert (tier.speaker, tier.marks[0].text) == ("Zoë", "schön & gut")


BOMB = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]>\n<ANNOTATION_DOCUMENT>&y;</ANNOTATION_DOCUMENT>'


def damaged() -> dict[str, tuple[str, str]]:
    eaf = Eaf()
    ids = eaf.aligned("Ann", [(0, 1000, "Hello"), (None, 3000, "lost")])
    eaf.referring("e@Ann", [(ids[0], "joy")], parent="Ann")
    whole = eaf.text()
    return {
        "entities": (f'<?xml version="1.0"?>\n{BOMB}', "line 2: has a DOCTYPE"),
        "cut": (whole[: len(whole) // 2], "not whole and valid XML"),
        "another": ("<html></html>", "is no file of ELAN's: it begins with <html>"),
        "units": (whole.replace("milliseconds", "fortnights"), "TIME_UNITS 'fortnights' is none of"),
        "dangling": (
            whole.replace('ANNOTATION_REF="a1"', 'ANNOTATION_REF="a9"'),
            "annotation 'a9', which is not there",
        ),
        "circle": (whole.replace('ANNOTATION_REF="a1"', 'ANNOTATION_REF="a3"'), "refers to"),
        "untimed": (whole, "time slot 'ts3' has no time"),
        "twice": (whole.replace('"a2"', '"a1"'), "a second annotation 'a1'"),
        "no number": (whole.replace('TIME_VALUE="1000"', 'TIME_VALUE="1e3"'), "TIME_VALUE '1e3'"),
        "no tier": ("<ANNOTATION_DOCUMENT/>", "holds no tier"),
    }


@pytest.mark.parametrize("case", damaged())
def test_what_cannot_be_read_is_refused_by_file_and_line(tmp_path: Path, case: str) -> None:
    content, said = damaged()[case]
    with pytest.raises(UserError) as refused:
        read(tmp_path / "a.eaf", content)
    assert said in str(refused.value)
    assert str(refused.value).startswith(f"{tmp_path / 'a.eaf'}")


def test_tiers_and_slots_in_a_circle_end(tmp_path: Path) -> None:
    eaf = Eaf()
    eaf.aligned("A", [(0, 100, "x")], PARENT_REF="B")
    eaf.aligned("B", [(0, 100, "x")], PARENT_REF="A")
    assert {tier.speaker for tier in read(tmp_path / "a.eaf", eaf.text()).tiers} <= {"A", "B"}
    looped = Eaf()
    looped.subdivided("A", 0, 900, ["x", "y", "z"])
    content = looped.text().replace(
        'TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4"', 'TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts2"'
    )
    with pytest.raises(UserError, match="has no time, nor has any that it could share"):
        read(tmp_path / "a.eaf", content)
