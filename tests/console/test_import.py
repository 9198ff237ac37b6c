"""``multiemo import``: transcripts and films in, a table that the manifest takes out."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from pipeline.console.__main__ import main
from pipeline.corpora.table import read_table
from tests.transcripts.made import Eaf, text_grid, write_film, write_sound


def run(*arguments: object) -> int:
    return main(["import", *map(str, arguments)])


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "annotations.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def visit(number: int, people: tuple[str, str], origin: int = 0) -> Eaf:
    """A visit as a lab annotates one: two people, emotions of each, a tier of notes."""
    eaf = Eaf().medium(f"file:///Users/anna/visit{number}.mp4", origin)
    for place, name in enumerate(people):
        said = eaf.aligned(name, [(200 + 500 * place, 600 + 500 * place, f"I am {name}."), (2000, 2400, "")])
        eaf.referring(f"emotion@{name}", [(said[0], "joy" if place else "anger")], parent=name)
    eaf.aligned("notes", [(0, 3000, "window open")])
    return eaf


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Four visits of different people."""
    for number in range(4):
        visit(number, (f"Ann{number}", f"Bob{number}"), origin=500).write(
            tmp_path / f"visits/visit{number}.eaf"
        )
        write_film(tmp_path / f"films/visit{number}.mp4", 4)
    return tmp_path


def arguments(lab: Path, *more: object) -> list[object]:
    tiers = ("--utterances", "Ann*", "Bob*", "--labels", "emotion@{speaker}", "--media", lab / "films")
    return [*sorted((lab / "visits").iterdir()), *tiers, "-o", lab / "corpus/annotations.csv", *more]


def test_visits_become_a_corpus_by_one_command(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments(lab, "--split", "speaker")) == 0
    said = capsys.readouterr()
    found = rows(lab / "corpus")
    assert len(found) == 16
    assert {row["split"] for row in found} == {"train", "dev", "test"}
    first = {name: cell for name, cell in found[0].items() if name != "split"}
    assert first == {
        "dialogue": "visit0", "utterance": "1", "speaker": "Ann0", "text": "I am Ann0.", "label": "anger",
        "media": "../films/visit0.mp4", "start_s": "0.700", "end_s": "1.100", "crop": "",
    }  # fmt: skip
    assert (found[2]["text"], found[2]["label"]) == ("", "")
    assert "16 utterances of 4 dialogues" in said.out
    assert "note: 8 utterances without text" in said.out
    assert "note: 4 annotations of tiers that are not used: 'notes'" in said.out
    assert "outside_media: true" in said.out
    assert "warning: class 'joy' has 1 in dev, 1 in test" in said.out
    origin = json.loads((lab / "corpus/annotations.import.json").read_text(encoding="utf-8"))
    assert len(origin["inputs"]) == 4
    assert origin["options"]["labels"] == ["emotion@{speaker}"]
    assert origin["counts"]["utterances without text"] == 8


def test_equal_input_gives_equal_bytes_and_a_table_is_only_replaced_by_force(lab: Path, capsys) -> None:
    table, record = lab / "corpus/annotations.csv", lab / "corpus/annotations.import.json"
    assert run(*arguments(lab, "--split", "speaker")) == 0
    before = table.read_bytes(), record.read_bytes()
    assert run(*arguments(lab, "--split", "speaker")) == 1
    assert "is there already; --force replaces it" in capsys.readouterr().err
    assert run(*arguments(lab, "--split", "dialogue", "--force")) == 0
    assert table.read_bytes() == before[0]  # the splits of its dialogues are kept
    assert "are gone" not in capsys.readouterr().out
    assert run(*arguments(lab, "--split", "test", "--force")[1:]) == 0
    assert "1 dialogues of the table before are gone, as no file is theirs: visit0" in capsys.readouterr().out
    table.unlink()
    assert run(*arguments(lab, "--split", "speaker")) == 0
    assert (table.read_bytes(), record.read_bytes()) == before


def test_a_recording_that_is_added_moves_no_other_and_one_that_joins_splits_is_named(
    tmp_path: Path, capsys
) -> None:
    def add(number: int, people: tuple[str, str]) -> dict[str, str]:
        visit(number, people).write(tmp_path / f"visits/visit{number:02}.eaf")
        tiers = ("--utterances", "Ann*", "Bob*", "--split", "speaker")
        target = ("--force", "-o", tmp_path / "annotations.csv")
        assert run(*sorted((tmp_path / "visits").iterdir()), *tiers, *target) == 0
        return {row["dialogue"]: row["split"] for row in rows(tmp_path)}

    for number in range(11):
        visit(number, (f"Ann{number}", f"Bob{number}")).write(tmp_path / f"visits/visit{number:02}.eaf")
    found = add(11, ("Ann11", "Bob11"))
    assert set(found.values()) == {"train", "dev", "test"}
    for number, people in ((12, ("Ann12", "Bob12")), (13, ("Ann3", "Bob13"))):
        before, found = found, add(number, people)
        assert found.items() > before.items()
    assert found["visit13"] == found["visit03"]
    assert "join dialogues" not in capsys.readouterr().out
    train, test = (next(name for name, split in found.items() if split == each) for each in ("train", "test"))
    before, found = found, add(14, (f"Ann{int(train[-2:])}", f"Bob{int(test[-2:])}"))
    assert found.items() > before.items()
    said = "the speakers of 'visit14' join dialogues that were in train and test; all keep their splits"
    assert f"warning: {said}" in capsys.readouterr().out


def test_a_table_that_would_not_be_read_replaces_nothing(lab: Path, monkeypatch, capsys) -> None:
    assert run(*arguments(lab, "--split", "speaker")) == 0
    before = {path.name: path.read_bytes() for path in (lab / "corpus").iterdir()}
    monkeypatch.setattr("pipeline.transcripts.table._relative", lambda path, folder: "gone.mp4\0")
    assert run(*arguments(lab, "--split", "speaker", "--force")) == 1
    assert {path.name: path.read_bytes() for path in (lab / "corpus").iterdir()} == before


def test_a_crop_that_no_table_knows_is_refused_with_its_line(lab: Path, tmp_path: Path, capsys) -> None:
    cast = tmp_path / "cast.csv"
    cast.write_text("found,speaker,crop\nAnn0,A,middle\n")
    assert run(*arguments(lab, "--split", "speaker", "--speakers", cast)) == 1
    assert f"{cast}, line 2" in capsys.readouterr().err


def test_speakers_are_renamed_before_anything_reads_them(lab: Path, capsys) -> None:
    cast = lab / "cast.csv"
    cast.write_text(
        "found,speaker,crop\n" + "".join(f"Ann{n},S{n},left\n" for n in range(4)), encoding="utf-8"
    )
    assert run(*arguments(lab, "--split", "test", "--speakers", cast)) == 1
    assert "speaker 'Bob0' does not stand in" in capsys.readouterr().err
    with cast.open("a", encoding="utf-8") as file:
        file.write("".join(f"Bob{n},T{n},0.5 0 1 1\n" for n in range(4)))
    assert run(*arguments(lab, "--split", "test", "--speakers", cast)) == 0
    found = [(row["speaker"], row["crop"]) for row in rows(lab / "corpus")]
    assert found[:2] == [("S0", "left"), ("T0", "0.5 0 1 1")]
    assert {row["split"] for row in rows(lab / "corpus")} == {"test"}


def test_list_shows_what_to_choose_from_and_writes_nothing(lab: Path, capsys) -> None:
    before = sorted(lab.rglob("*"))
    assert run("--list", lab / "visits/visit0.eaf") == 0
    said = capsys.readouterr().out
    assert "visit0.mp4 from 0.5 s" in said
    assert "  Ann0: 2 annotations, 1 empty\n    I am Ann0.\n" in said
    assert "  emotion@Ann0: 1 annotations, of tier Ann0\n    anger\n" in said
    (lab / "talk.json").write_text(
        json.dumps({"segments": [{"start": 0, "end": 1, "text": "Hi", "speaker": "SPEAKER_00"}]}), "utf-8"
    )
    assert run("--list", lab / "talk.json") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1:] == ["  speakers talk SPEAKER_00: 1 utterances", "    Hi"]  # nothing that does not occur
    (lab / "talk.json").unlink()
    assert sorted(lab.rglob("*")) == before


def test_a_subtitle_without_tiers_has_no_notes(tmp_path: Path, capsys) -> None:
    (tmp_path / "talk.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:01.000\n<v Ann>Hi\n", encoding="utf-8")
    assert run(tmp_path / "talk.vtt", "--split", "test", "-o", tmp_path / "annotations.csv") == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note")]
    assert notes == ["note: without --media there is text alone: modalities: [text]"]


def test_a_wrong_film_and_a_backwards_span_and_a_stray_tier_are_refused_together(lab: Path, capsys) -> None:
    write_film(lab / "films/visit0.mp4", 0.3)
    eaf = Eaf().medium("visit1.mp4")
    eaf.aligned("Ann1", [(900, 200, "back"), (5, 5, "none"), (0, 9, "None")])
    eaf.write(lab / "visits/visit1.eaf")
    assert run(*arguments(lab, "--split", "test")) == 1
    said = capsys.readouterr().err
    assert "is this the right film, or the wrong unit (ms, frames)?" in said
    assert "'back' has an end before its start" in said
    assert "'none' has no duration" in said
    assert "text 'None' is what exporters write for a gap" in said
    assert not (lab / "corpus").exists()


def test_labels_that_differ_in_capitals_are_named_with_both_places(lab: Path, capsys) -> None:
    path = lab / "visits/visit3.eaf"
    path.write_text(path.read_text(encoding="utf-8").replace("joy", "Joy"), encoding="utf-8")
    assert run(*arguments(lab, "--split", "test")) == 1
    assert "label 'Joy' is 'joy' in dialogue 'visit0'" in capsys.readouterr().err


def test_what_is_missing_is_asked_for(lab: Path, capsys) -> None:
    file = lab / "visits/visit0.eaf"
    for given, said in (
        (("-o", lab / "annotations.csv"), "--split speaker keeps each speaker in one of them"),
        (("--split", "test"), "-o names the table"),
        (("--split", "test", "-o", lab / "a.csv"), "name it so"),
        (("--split", "test", "-o", lab / "annotations.csv"), "Name them by --utterances; it has 'Ann0' (2)"),
        (
            ("--split", "test", "-o", lab / "annotations.csv", "--utterances", "Ann0", "Bop"),
            "no file has such a tier",
        ),
    ):
        assert run(file, *given) == 1
        assert said in capsys.readouterr().err


def test_speakers_of_two_files_are_two_people_and_equal_stems_are_told_apart(tmp_path: Path, capsys) -> None:
    for name in ("a/talk", "b/talk"):
        path = tmp_path / f"{name}.vtt"
        path.parent.mkdir()
        path.write_text("WEBVTT\n\n00:00.000 --> 00:01.000\n<v SPEAKER_00>Hello\n", encoding="utf-8")
    files = [tmp_path / "a/talk.vtt", tmp_path / "b/talk.vtt"]
    assert run(*files, "--split", "test", "-o", tmp_path / "annotations.csv") == 1
    assert "would both be dialogue 'talk'; --dialogue path" in capsys.readouterr().err
    assert run(*files, "--split", "test", "-o", tmp_path / "annotations.csv", "--dialogue", "path") == 0
    assert len({row["dialogue"] for row in rows(tmp_path)}) == 2
    assert {row["speaker"] for row in rows(tmp_path)} == {"talk SPEAKER_00"}


@pytest.mark.parametrize("voice", ["<v SPEAKER_00>", ""])
def test_a_split_by_speakers_whom_nobody_named_is_warned_of(tmp_path: Path, capsys, voice: str) -> None:
    for number in range(3):
        cues = f"WEBVTT\n\n00:00.000 --> 00:01.000\n{voice}Hello\n"
        (tmp_path / f"talk{number}.vtt").write_text(cues, encoding="utf-8")
    files = sorted(tmp_path.glob("*.vtt"))
    target = ("-o", tmp_path / "annotations.csv", "--dialogue", "path")
    said = "nothing tells whether people of two dialogues are the same"
    assert run(*files, *target, "--split", "speaker") == 0
    told = "3 speakers are called by number and file ('talk0 SPEAKER_00'" if voice else "3 utterances are of"
    warned = capsys.readouterr().out
    assert said in warned
    assert f"warning: {told}" in warned
    assert run(*files, *target, "--split", "dialogue", "--force") == 0
    assert said not in capsys.readouterr().out
    cast = tmp_path / "cast.csv"
    found = [f"talk{number} SPEAKER_00" if voice else "" for number in range(3)]
    names = "".join(f"{name},S{name[4:5]}\n" for name in dict.fromkeys(found))
    cast.write_text(f"found,speaker\n{names}", encoding="utf-8")
    assert run(*files, *target, "--split", "speaker", "--force", "--speakers", cast) == 0
    assert said not in capsys.readouterr().out


def test_who_is_to_be_ignored_and_is_nobody_is_refused(lab: Path, capsys) -> None:
    assert run(*arguments(lab, "--split", "speaker", "--ignore-speaker", "Ann0", "THERAPSIT")) == 1
    assert "--ignore-speaker THERAPSIT: nobody is called so; there are 'Ann0', " in capsys.readouterr().err
    assert not (lab / "corpus").exists()


def test_raters_files_give_votes_and_their_agreement(tmp_path: Path, capsys) -> None:
    turns = [(0.0, 1.0, "a"), (1.0, 2.0, "b"), (2.0, 3.0, "c")]
    tiers = [("Ann", turns)]
    for rater, votes in enumerate(["xxy", "xyy", "xyz"], 1):
        tiers.append((f"R{rater}@Ann", [(*turn[:2], vote) for turn, vote in zip(turns, votes, strict=True)]))
    path = tmp_path / "talk.TextGrid"
    path.write_text(text_grid(tiers), encoding="utf-8")
    labels = ("--utterances", "Ann", "--labels", "R?@{speaker}")
    assert run(path, *labels, "--split", "test", "-o", tmp_path / "annotations.csv") == 0
    assert "3 raters, Krippendorff's alpha 0.333" in capsys.readouterr().out
    assert [row["label"] for row in rows(tmp_path)] == ["x", "y", "y"]
    votes = (tmp_path / "votes.csv").read_text(encoding="utf-8")
    assert votes.splitlines() == [
        "dialogue,utterance,R1,R2,R3",
        "talk,1,x,x,x",
        "talk,2,x,y,y",
        "talk,3,y,y,z",
    ]


def test_cues_without_an_end_last_until_the_films_end_and_pauses_can_be_joined(tmp_path: Path) -> None:
    write_sound(tmp_path / "talk.wav", 4)
    segments = [
        {"timestamp": [0, 1], "text": "a", "speaker": "Ann"},
        {"timestamp": [1.2, 2], "text": "b", "speaker": "Ann"},
        {"timestamp": [3, None], "text": "c", "speaker": "Ann"},
    ]
    (tmp_path / "talk.json").write_text(json.dumps({"chunks": segments}), encoding="utf-8")
    target = ("--split", "test", "-o", tmp_path / "annotations.csv")
    assert run(tmp_path / "talk.json", "--media", tmp_path, "--join", "0.5", *target) == 0
    found = [(row.utterance.text, row.start_s, row.end_s, row.media) for row in read_table(tmp_path)]
    assert found == [("a b", 0.0, 2.0, "talk.wav"), ("c", 3.0, 4.0, "talk.wav")]


def test_what_nobody_says_by_name_is_never_joined_and_that_is_told(tmp_path: Path, capsys) -> None:
    cues = ["WEBVTT", "00:00.000 --> 00:01.000\n- Hello?\n- Yes.", "00:01.200 --> 00:02.000\nWho is it?"]
    (tmp_path / "talk.vtt").write_text("\n\n".join(cues), encoding="utf-8")
    target = ("--split", "test", "-o", tmp_path / "annotations.csv")
    assert run(tmp_path / "talk.vtt", "--join", "0.5", *target) == 0
    assert [row["text"] for row in rows(tmp_path)] == ["Hello?", "Yes.", "Who is it?"]
    said = "note: 1 utterances that --join left alone, as nothing tells who says them"
    assert said in capsys.readouterr().out


def test_names_behind_the_markup_of_subrip_are_found(tmp_path: Path) -> None:
    said = [
        '<font color="#fff">Ann: One',
        "{\\an8}Bob: two",
        '<font color="#fff">Ann:</font> three',
        "Bob: four",
    ]
    cues = [f"{n}\n00:00:0{n},000 --> 00:00:0{n},500\n{text}\n" for n, text in enumerate(said, 1)]
    (tmp_path / "talk.srt").write_text("\n".join(cues), encoding="utf-8")
    assert run(tmp_path / "talk.srt", "--split", "test", "-o", tmp_path / "annotations.csv") == 0
    found = [(row["speaker"], row["text"]) for row in rows(tmp_path)]
    assert found == [("Ann", "One"), ("Bob", "two"), ("Ann", "three"), ("Bob", "four")]


def test_several_speakers_of_one_tier_are_the_same_in_whatever_order_they_are_named(tmp_path: Path) -> None:
    for number, name in enumerate(("Bob & Ann", "Ann & Bob", "Ann & Ann")):
        grid = text_grid([(name, [(0, 1, "a")])])
        (tmp_path / f"visit{number}.TextGrid").write_text(grid, encoding="utf-8")
    files = sorted(tmp_path.glob("*.TextGrid"))
    assert run(*files, "--utterances", "*", "--split", "test", "-o", tmp_path / "annotations.csv") == 0
    assert [row["speaker"] for row in rows(tmp_path)] == ["Bob & Ann", "Bob & Ann", "Ann"]


def test_votes_that_no_import_wrote_are_never_replaced(lab: Path, capsys) -> None:
    votes = lab / "corpus/votes.csv"
    votes.parent.mkdir()
    votes.write_text("the lab's own", encoding="utf-8")
    for more in ((), ("--force",)):
        assert run(*arguments(lab, "--split", "test", *more)) == 1
        assert f"{votes}: stands there, and no import wrote it; move it away" in capsys.readouterr().err
    assert [path.name for path in votes.parent.iterdir()] == ["votes.csv"]
    assert votes.read_text(encoding="utf-8") == "the lab's own"


def test_turns_of_one_cue_are_not_joined(tmp_path: Path) -> None:
    cues = [
        "WEBVTT",
        "00:00.000 --> 00:01.000\n<v Ann>One",
        "00:01.200 --> 00:02.000\n<v Ann>and two</v>\n<v Ann>Or two</v>",
    ]
    (tmp_path / "talk.vtt").write_text("\n\n".join(cues), encoding="utf-8")
    target = ("--split", "test", "-o", tmp_path / "annotations.csv")
    assert run(tmp_path / "talk.vtt", "--join", "0.5", *target) == 0
    assert [row["text"] for row in rows(tmp_path)] == ["One and two", "Or two"]


def test_a_mac_that_links_the_sound_of_a_shifted_film(tmp_path: Path, capsys) -> None:
    write_film(tmp_path / "films/Übung.mp4", 12)
    write_sound(tmp_path / "films/Übung.wav", 12)
    eaf = Eaf("PAL-frames").medium("file:///Users/anna.meier/Desktop/U%CC%88bung.wav", origin=5230)
    eaf.aligned("Zoe\u0308", [(0, 25, "Hallo")])
    eaf.write(tmp_path / "Übung.eaf")
    media = ("--media", tmp_path / "films", "--split", "test", "-o", tmp_path / "annotations.csv")
    assert run(tmp_path / "Übung.eaf", "--utterances", "Zoë", *media) == 0
    (row,) = rows(tmp_path)
    assert (row["speaker"], row["start_s"], row["end_s"]) == ("Zoë", "5.230", "6.230")
    assert row["media"] == "films/Übung.mp4"
    assert "it names Übung.wav, and" in capsys.readouterr().out
    assert "anna.meier" not in (tmp_path / "annotations.import.json").read_text(encoding="utf-8")


def test_names_that_differ_in_what_nobody_sees_are_one_and_in_capitals_are_told(
    tmp_path: Path, capsys
) -> None:
    for number, name in enumerate(("Zoe\u0308", "Zoë ", "zoë")):
        grid = text_grid([(name, [(0, 1, "a"), (1.0000001, 2, "b"), (1.9999999, 3, "c")])])
        (tmp_path / f"visit{number}.TextGrid").write_text(grid, encoding="utf-8")
    files = sorted(tmp_path.glob("*.TextGrid"))
    assert run(*files, "--utterances", "*", "--split", "test", "-o", tmp_path / "annotations.csv") == 0
    assert {row["speaker"] for row in rows(tmp_path)} == {"Zoë", "zoë"}
    said = capsys.readouterr().out
    assert "speakers that differ in capitals alone, and count as several: 'Zoë' and 'zoë'" in said
    assert "overlap" not in said


def test_raters_with_files_of_their_own_vote_whatever_the_clocks_of_those(tmp_path: Path, capsys) -> None:
    for rater, votes, origin in (
        ("A1", ("joy", "joy"), 0),
        ("A2", ("joy", "fear"), 700),
        ("A3", ("fear", "joy"), 0),
    ):
        eaf = Eaf().medium("talk.mp4", origin)
        eaf.aligned("Ann", [(1000 - origin, 2000 - origin, "a"), (2000 - origin, 3000 - origin, "b")])
        eaf.aligned(
            "emotion", [(1000 - origin, 2010 - origin, votes[0]), (2010 - origin, 3000 - origin, votes[1])]
        )
        eaf.write(tmp_path / f"{rater}/talk.eaf")
    labels = ("--utterances", "Ann", "--labels", "emotion", "--labels-from")
    target = ("--split", "test", "-o", tmp_path / "annotations.csv")
    others = [tmp_path / "A2/talk.eaf", tmp_path / "A3/talk.eaf"]
    assert run(tmp_path / "A1/talk.eaf", *labels, *others, *target) == 0
    assert [row["label"] for row in rows(tmp_path)] == ["joy", "joy"]
    votes = (tmp_path / "votes.csv").read_text(encoding="utf-8").splitlines()
    assert votes == ["dialogue,utterance,A2,A3,emotion", "talk,1,joy,fear,joy", "talk,2,fear,joy,joy"]
    assert "3 raters, Krippendorff's alpha" in capsys.readouterr().out
    others[0].rename(tmp_path / "A2/other.eaf")
    assert run(tmp_path / "A1/talk.eaf", *labels, tmp_path / "A2/other.eaf", *target, "--force") == 1
    assert "other.eaf: is called as none of the dialogues' files, such as talk" in capsys.readouterr().err


def rated(folder: Path, tier: str = "emotion@Ann") -> Path:
    """A dialogue of Ann and Bob with her emotion, as a rater annotates it."""
    eaf = Eaf()
    eaf.aligned("Ann", [(0, 1000, "a")])
    eaf.aligned("Bob", [(1000, 2000, "b")])
    eaf.aligned(tier, [(0, 1000, "joy")])
    return eaf.write(folder / "v1.eaf")


def rating(tmp_path: Path) -> list[object]:
    own = rated(tmp_path / "A1")
    labels = ("--utterances", "Ann", "Bob", "--labels", "emotion@{speaker}")
    return [own, *labels, "--split", "test", "-o", tmp_path / "annotations.csv", "--labels-from"]


def test_two_raters_whose_folders_have_one_name_are_refused_with_both_files(tmp_path: Path, capsys) -> None:
    others = [rated(tmp_path / "A2/eaf"), rated(tmp_path / "A3/eaf")]
    assert run(*rating(tmp_path), *others) == 1
    assert f"{others[0]} and {others[1]} are both of the rater 'eaf'" in capsys.readouterr().err
    assert not (tmp_path / "annotations.csv").exists()


def test_a_raters_file_without_any_tier_of_labels_is_refused_with_the_tiers_it_has(
    tmp_path: Path, capsys
) -> None:
    other = rated(tmp_path / "A2", "Emotion@Ann")
    assert run(*rating(tmp_path), other) == 1
    said = "no tier with labels is called emotion@{speaker}; it has 'Ann' (1), 'Bob' (1), 'Emotion@Ann' (1)"
    assert f"{other}: {said}" in capsys.readouterr().err


def test_a_rater_who_has_no_tier_for_one_of_the_speakers_is_told(tmp_path: Path, capsys) -> None:
    eaf = Eaf()
    eaf.aligned("emotion@Bob", [(1000, 2000, "fear")])
    assert run(*rating(tmp_path), eaf.write(tmp_path / "A2/v1.eaf")) == 0
    said = "note: 1 utterances of 'Ann' for which rater 'A2' has no tier of labels"
    assert said in capsys.readouterr().out
    assert [row["label"] for row in rows(tmp_path)] == ["joy", "fear"]


def test_raters_files_without_the_tiers_of_their_labels_are_refused(tmp_path: Path, capsys) -> None:
    target = ("--utterances", "Ann", "--split", "test", "-o", tmp_path / "annotations.csv")
    assert run(rated(tmp_path / "A1"), *target, "--labels-from", rated(tmp_path / "A2")) == 1
    assert "in which tiers are the labels? Name them by --labels" in capsys.readouterr().err


def test_labels_that_no_file_has_are_refused(lab: Path, capsys) -> None:
    assert run(*arguments(lab, "--split", "test", "--labels", "feeling@{speaker}")) == 1
    assert (
        "--labels feeling@{speaker}: no file has such a tier; there are 'Ann0', " in capsys.readouterr().err
    )
    (lab / "talk.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:01.000\n<v Ann>Hi\n", encoding="utf-8")
    assert run(lab / "talk.vtt", "--labels", "x", "--split", "test", "-o", lab / "annotations.csv") == 1
    assert "--labels x: no file has such a tier; files of this format have none" in capsys.readouterr().err


def test_what_has_no_duration_may_be_left_out_but_nothing_that_runs_backwards(tmp_path: Path, capsys) -> None:
    path = tmp_path / "talk.TextGrid"
    spans = [(0.0, 1.0, "a"), (1.0, 1.0, "slip")]
    path.write_text(text_grid([("Ann", spans)]), encoding="utf-8")
    target = (
        "--utterances",
        "Ann",
        "--split",
        "test",
        "-o",
        tmp_path / "annotations.csv",
        "--drop-empty-spans",
    )
    assert run(path, *target) == 0
    assert [row["text"] for row in rows(tmp_path)] == ["a"]
    assert "note: 1 utterances without duration, left out" in capsys.readouterr().out
    path.write_text(text_grid([("Ann", [*spans, (5.0, 4.0, "back")])]), encoding="utf-8")
    assert run(path, *target, "--force") == 1
    assert "'back' has an end before its start" in capsys.readouterr().err


def test_a_name_that_is_not_utf_8_is_refused_before_anything_is_written(tmp_path: Path, capsys) -> None:
    path = tmp_path / "caf\udce9.vtt"
    path.write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nHi\n", encoding="utf-8")
    assert main(["import", str(path), "--split", "test", "-o", str(tmp_path / "annotations.csv")]) == 1
    assert "its name is not UTF-8: rename it" in capsys.readouterr().err
    (tmp_path / "talk.vtt").write_bytes(path.read_bytes())
    write_sound(tmp_path / "caf\udce9/talk.wav", 2)
    media = ("--media", tmp_path, "--split", "test", "-o", tmp_path / "annotations.csv")
    assert run(tmp_path / "talk.vtt", *media) == 1
    assert "its name is not UTF-8: rename it" in capsys.readouterr().err
    assert not (tmp_path / "annotations.csv").exists()


def test_what_lies_before_the_film_is_refused(lab: Path, capsys) -> None:
    visit(0, ("Ann0", "Bob0"), origin=-500).write(lab / "visits/visit0.eaf")
    assert run(*arguments(lab, "--split", "test")) == 1
    assert "starts 0.3 s before the film does (TIME_ORIGIN is -500 ms)" in capsys.readouterr().err


def test_participants_ignored_texts_and_invented_times_are_told(tmp_path: Path, capsys) -> None:
    eaf = Eaf()
    spans = [
        (1000 * place, 1000 * place + 1000, text)
        for place, text in enumerate(("a", "b", "xxx", "c", "d", "e", "f"))
    ]
    eaf.aligned("CHI", spans, PARTICIPANT="Zoë")
    eaf.write(tmp_path / "talk.eaf")
    target = ("--utterances", "CHI", "--ignore", "xxx", "--split", "test", "-o", tmp_path / "annotations.csv")
    assert run(tmp_path / "talk.eaf", *target) == 0
    said = capsys.readouterr().out
    assert {row["speaker"] for row in rows(tmp_path)} == {"CHI"}
    assert (
        "7 utterances of tier 'CHI', whose participant is 'Zoë': --speaker participant takes that name"
        in said
    )
    assert "note: 1 utterances left out by --ignore xxx" in said
    assert "note: 6 utterances of exactly 1 s in a row: are their times invented?" in said
    assert run(tmp_path / "talk.eaf", *target, "--force", "--speaker", "participant") == 0
    assert {row["speaker"] for row in rows(tmp_path)} == {"Zoë"}
    assert "participant is" not in capsys.readouterr().out
