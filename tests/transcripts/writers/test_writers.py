"""Predictions for annotation tools: what is written is read again, somebody's own file stays what it is."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pipeline.transcripts.elan.copying import add_predictions
from pipeline.transcripts.predicted import Predicted, Recording, writers
from pipeline.transcripts.writing import write_recordings
from tests.transcripts.made import Eaf, read, told

TALK = Recording(
    name="visit",
    media="übung 1.mp4",
    utterances=[
        Predicted(0, 1200, "Ann", 'So "good" <b> & co\x01', "joy", 0.714),
        Predicted(1000, 2000, "Zoë B.", "", "no emotion", 0.5),
        Predicted(1100, 1500, "Ann", "--> Yes", "joy", 1.0),
        Predicted(3000, 3600, "", "Who?", "no emotion", 0.25),
    ],
    classes=["joy", "no emotion"],
    model="the model of demo, seeds 0",
)


def written(tmp_path: Path, suffix: str) -> Path:
    (path,) = write_recordings(tmp_path / f"out{suffix}", [TALK])
    return path


def test_elan_gets_a_tier_per_speaker_with_two_child_tiers(tmp_path: Path) -> None:
    path = written(tmp_path, ".eaf")
    found = {tier.name: tier for tier in read(path, path.read_bytes()).tiers}
    assert told(found["Ann"].marks) == [
        (0, 1200, "", 'So "good" <b> & co\ufffd'),
        (1100, 1500, "", "--> Yes"),
    ]
    assert told(found["Zoë B."].marks) == [(1000, 2000, "", "")]
    assert told(found["predicted@Ann"].marks) == [(0, 1200, "", "joy"), (1100, 1500, "", "joy")]
    assert told(found["probability@unknown"].marks) == [(3000, 3600, "", "0.25")]
    assert found["predicted@Ann"].parent == "Ann"
    assert [name for name in found if "@" not in name] == ["Ann", "Zoë B.", "unknown"]
    assert read(path, path.read_bytes()).media == (("übung 1.mp4", 0),)
    order = [element.tag for element in ElementTree.fromstring(path.read_bytes())]
    ranks = [
        "HEADER",
        "TIME_ORDER",
        "TIER",
        "LINGUISTIC_TYPE",
        "LANGUAGE",
        "CONSTRAINT",
        "CONTROLLED_VOCABULARY",
    ]
    assert order == sorted(order, key=ranks.index)
    assert not re.search(r"<TIME_SLOT [^>]* />", path.read_text(encoding="utf-8"))


def test_praat_gets_tiers_without_gaps_or_overlaps(tmp_path: Path) -> None:
    path = written(tmp_path, ".TextGrid")
    tiers = {tier.name: told(tier.marks) for tier in read(path, path.read_bytes()).tiers}
    assert tiers["predicted@Ann"] == [(0, 1200, "", "joy")]
    assert tiers["Ann (2)"] == [(1100, 1500, "", "--> Yes")]
    assert tiers["probability@Zoë B."] == [(1000, 2000, "", "0.50")]
    content = path.read_text(encoding="utf-8")
    for block in content.split("item [")[2:]:
        numbers = [float(found) for found in re.findall(r"xm(?:in|ax) = ([\d.]+)", block)][2:]
        assert numbers[0] == 0
        assert numbers[-1] == 3.6
        assert numbers[1:-1:2] == numbers[2::2]


def test_players_get_cues_with_voice_class_and_probability(tmp_path: Path) -> None:
    path = written(tmp_path, ".vtt")
    content = path.read_text(encoding="utf-8")
    assert "00:00:01.100 --> 00:00:01.500\n<v Ann><c.joy>[joy 1.00]</c> --&gt; Yes\n" in content
    marks = told(read(path, content).tiers[0].marks)
    assert marks[1:] == [
        (1000, 2000, "Zoë B.", "[no emotion 0.50]"),
        (1100, 1500, "Ann", "[joy 1.00] --> Yes"),
        (3000, 3600, "", "[no emotion 0.25] Who?"),
    ]


@pytest.mark.parametrize("suffix", writers())
def test_equal_predictions_give_equal_bytes_and_several_films_a_folder(tmp_path: Path, suffix: str) -> None:
    first = written(tmp_path, suffix).read_bytes()
    assert written(tmp_path / "again", suffix).read_bytes() == first
    paths = write_recordings(tmp_path / f"many{suffix}", [TALK, TALK._replace(name="a/b")])
    assert paths == [tmp_path / "many" / f"visit{suffix}", tmp_path / "many" / f"a%2Fb{suffix}"]
    assert paths[0].read_bytes() == first


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_a_copy_of_somebodys_file_gets_the_tiers_and_nothing_else_changes(
    tmp_path: Path, encoding: str
) -> None:
    eaf = Eaf().medium("x.mp4", origin=500)
    ids = eaf.aligned("text@Ann", [(0, 1200, "schön"), (2000, 2500, "y")])
    eaf.referring("predicted@Ann", [(ids[0], "by hand")], parent="text@Ann")
    rest = '<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="t"/>\n<!-- <TIER/> -->\n<CONTROLLED_VOCABULARY CV_ID="c"/>\n'
    text = eaf.text().replace("</ANNOTATION_DOCUMENT>", f"{rest}</ANNOTATION_DOCUMENT>")
    text = text.replace('encoding="UTF-8"', f'encoding="{encoding}"')
    said = [
        Predicted(500, 1700, "S1", "schön", "joy", 0.7, ("text@Ann", ids[0])),
        Predicted(2500, 3000, "S1", "y", "fear", 0.4, ("text@Ann", ids[1])),
    ]
    copy = add_predictions(text.encode(encoding), TALK._replace(utterances=said))
    found = read(tmp_path / "copy.eaf", copy)
    tiers = {tier.name: tier for tier in found.tiers}
    assert list(tiers) == ["text@Ann", "predicted@Ann", "predicted2@Ann", "probability@Ann"]
    assert told(tiers["predicted@Ann"].marks) == [(0, 1200, "", "by hand")]
    assert told(tiers["predicted2@Ann"].marks) == [(0, 1200, "", "joy"), (2000, 2500, "", "fear")]
    assert tiers["predicted2@Ann"].parent == "text@Ann"
    order = [element.tag for element in ElementTree.fromstring(copy)]
    ranks = [
        "HEADER",
        "TIME_ORDER",
        "TIER",
        "LINGUISTIC_TYPE",
        "LANGUAGE",
        "CONSTRAINT",
        "CONTROLLED_VOCABULARY",
    ]
    assert order == sorted(order, key=ranks.index)
    if encoding == "utf-8":
        kept = copy.decode()
        for line in text.splitlines():
            assert line in kept
    again = add_predictions(copy, TALK._replace(utterances=said))
    names = [tier.name for tier in read(tmp_path / "again.eaf", again).tiers]
    assert names[-2:] == ["predicted3@Ann", "probability2@Ann"]
