"""Labels by parent or overlap, raters' votes, and what is counted or refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pipeline.corpora.annotations.rows import Mistakes
from pipeline.errors import UserError
from pipeline.transcripts.agreement import krippendorff_alpha
from pipeline.transcripts.content import Transcript
from pipeline.transcripts.importing import Wanted, import_transcripts
from pipeline.transcripts.labelling import Rule, label_utterances
from pipeline.transcripts.turns import Choice, find_said
from tests.transcripts.made import Eaf, read, text_grid


def label(transcript: Transcript, rule: Rule, utterances: str = "Ann") -> tuple[list[str], Counter[str]]:
    mistakes, counts = Mistakes(), Counter[str]()
    said = find_said(transcript, Choice((utterances,)), mistakes, counts, rule.tiers)
    found = label_utterances(transcript, said, rule, mistakes, counts, [])
    mistakes.refuse()
    return [each.label for each in found], +counts


def test_a_label_belongs_to_the_utterance_that_it_refers_to_through_any_number_of_tiers(
    tmp_path: Path,
) -> None:
    eaf = Eaf()
    ann = eaf.aligned("Ann", [(0, 1000, "a"), (1000, 2000, "b"), (2000, 3000, "c")])
    codes = eaf.referring("code@Ann", [(ann[1], "x"), (ann[0], "y")], parent="Ann", first=True)
    eaf.referring("emotion@Ann", [(codes[0], "joy "), (codes[1], "anger")], parent="code@Ann", first=True)
    transcript = read(tmp_path / "a.eaf", eaf.text())
    labels, counts = label(transcript, Rule(("emotion@{speaker}",)))
    assert labels == ["anger", "joy", ""]
    assert counts["utterances without a label"] == 1
    assert label(transcript, Rule(("emotion@{speaker}",), unmarked="neutral"))[0] == [
        "anger",
        "joy",
        "neutral",
    ]


def test_a_label_that_refers_to_one_utterance_is_not_that_of_others_at_the_same_time(tmp_path: Path) -> None:
    eaf = Eaf()
    ann = eaf.aligned("Ann", [(0, 1000, "a"), (2000, 3000, "xxx")])
    eaf.aligned("Bob", [(0, 1000, "b"), (2000, 3000, "c")])
    codes = eaf.referring("code", [(ann[0], "x"), (ann[1], "y")], parent="Ann")
    eaf.referring("emotion", [(codes[0], "joy"), (codes[1], "fear")], parent="code")
    transcript = read(tmp_path / "a.eaf", eaf.text())
    mistakes, counts = Mistakes(), Counter[str]()
    said = find_said(transcript, Choice(("Ann", "Bob"), ignore=("xxx",)), mistakes, counts)
    found = label_utterances(transcript, said, Rule(("emotion",)), mistakes, counts, [])
    assert [(each.text, labelled.label) for each, labelled in zip(said, found, strict=True)] == [
        ("a", "joy"),
        ("b", ""),
        ("c", ""),
    ]
    assert counts["labels of tier 'emotion' that meet no utterance"] == 1


def test_a_tier_of_labels_is_none_of_utterances_whatever_pattern_it_fits(tmp_path: Path) -> None:
    eaf = Eaf()
    ann = eaf.aligned("Ann", [(0, 1000, "a"), (1000, 2000, "b")])
    eaf.referring("emotion@Ann", [(ann[0], "joy"), (ann[1], "fear")], parent="Ann", first=True)
    eaf.referring("sure@Ann", [(ann[0], "0.9")], parent="Ann")
    transcript = read(tmp_path / "a.eaf", eaf.text())
    assert label(transcript, Rule(("emotion@{speaker}",)), "[Ae]*")[0] == ["joy", "fear"]
    labels, counts = label(transcript, Rule(("emotion@{speaker}",)), "*")
    assert labels == ["joy", "joy", "fear"]  # the second is of sure@Ann
    assert counts["utterances of tier 'sure@Ann', which refers to other utterances: is it one?"] == 1
    assert len(label(transcript, Rule(("*@{speaker}",)), "[Ae]*")[0]) == 2
    with pytest.raises(
        UserError, match=r"tier 'emotion@Ann' would hold utterances .* name either more closely"
    ):
        label(transcript, Rule(("*@{speaker}",)), "[es]*")


def test_a_label_that_spans_turns_is_theirs_and_jitter_is_harmless(tmp_path: Path) -> None:
    turns = [(0.0, 1.0, "a"), (1.0, 2.0, "b"), (2.0, 3.0, "c"), (3.0, 4.0, "d"), (4.0, 5.0, "e")]
    labels = [(0.02, 2.98, "joy"), (3.7, 4.02, "fear"), (8.0, 9.0, "lost")]
    transcript = read(tmp_path / "a.TextGrid", text_grid([("Ann", turns), ("emotion", labels)]))
    found, counts = label(transcript, Rule(("emotion",)))
    assert found == ["joy", "joy", "joy", "", ""]
    assert counts["labels of tier 'emotion' that meet no utterance"] == 1
    assert label(transcript, Rule(("emotion",), min_overlap=0))[0] == ["joy", "joy", "joy", "fear", "fear"]


def test_labels_that_cover_too_little_are_one_note_with_files_and_times(tmp_path: Path) -> None:
    for name in "abc":
        turns = [(float(start), start + 1.0, "Hi") for start in range(4)]
        labels = [(start + 0.7, start + 1.0, "fear") for start in range(2)]
        read(tmp_path / f"{name}.TextGrid", text_grid([("Ann", turns), ("emotion", labels)]))
    wanted = Wanted(choice=Choice(("Ann",)), rule=Rule(("emotion",)))
    imported = import_transcripts([tmp_path / f"{name}.TextGrid" for name in "abc"], wanted, None)
    (what,) = [what for what in imported.counts if "--min-overlap" in what]
    assert imported.counts[what] == 6
    told = [
        f"{tmp_path / name}.TextGrid, 0:00:0{start}.000: fear covers 30 %"
        for name in "abc"
        for start in (0, 1)
    ]
    assert what.endswith(f", counted as none ({'; '.join(told[:5])}; ...)")
    assert not any(what.startswith("-") for what in imported.counts)


def test_what_is_marked_without_a_decision_is_not_unmarked(tmp_path: Path) -> None:
    turns = [(0.0, 1.0, "tie"), (1.0, 2.0, "little"), (2.0, 3.0, "nothing"), (3.0, 4.0, "empty")]
    labels = [(0.0, 0.5, "joy"), (0.5, 1.0, "fear"), (1.2, 1.6, "joy"), (3.0, 4.0, "")]
    eaf = Eaf()
    for tier, spans in (("Ann", turns), ("emotion", labels)):
        eaf.aligned(tier, [(round(1000 * start), round(1000 * end), text) for start, end, text in spans])
    transcript = read(tmp_path / "a.eaf", eaf.text())
    found, counts = label(transcript, Rule(("emotion",), unmarked="neutral"))
    assert found == ["", "", "neutral", "neutral"]
    assert counts["utterances without a label"] == 2


def test_three_raters_vote_and_a_tie_is_no_label(tmp_path: Path) -> None:
    eaf = Eaf()
    ann = eaf.aligned("Ann", [(0, 1000, "a"), (1000, 2000, "b"), (2000, 3000, "c")])
    for rater, votes in enumerate(
        [("joy", "joy", "joy"), ("joy", "fear", "fear"), ("fear", "joy", "anger")], 1
    ):
        eaf.referring(f"emotion_R{rater}@Ann", list(zip(ann, votes, strict=True)), parent="Ann")
    transcript = read(tmp_path / "a.eaf", eaf.text())
    mistakes, counts = Mistakes(), Counter[str]()
    said = find_said(transcript, Choice(("Ann",)), mistakes, counts)
    found = label_utterances(transcript, said, Rule(("emotion_*@{speaker}",)), mistakes, counts, [])
    assert [each.label for each in found] == ["joy", "joy", ""]
    assert found[2].votes == {"emotion_R1": "joy", "emotion_R2": "fear", "emotion_R3": "anger"}
    assert counts["utterances whose raters have no majority, left without a label"] == 1


def test_a_tier_of_labels_that_meets_nothing_is_refused_and_one_that_is_not_there_counted(
    tmp_path: Path,
) -> None:
    grid = text_grid([("Ann", [(0, 1, "a")]), ("emotion", [(5, 6, "joy")]), ("empty", [])])
    transcript = read(tmp_path / "a.TextGrid", grid)
    with pytest.raises(UserError, match="no label of tier 'emotion' meets an utterance"):
        label(transcript, Rule(("emotion",)))
    labels, counts = label(transcript, Rule(("feeling_{speaker}",)))
    assert labels == [""]
    assert counts["utterances for which there is no tier of labels: those of 'Ann'"] == 1


@pytest.mark.parametrize(
    ("pattern", "tiers"),
    [
        ("*@{speaker}", ("Anna@A", "RAJ@A")),
        ("{speaker}_emotion_*", ("A_emotion_Anna", "A_emotion_RAJ")),
        ("{speaker}'s {speaker} by *", ("A's A by Anna", "A's A by RAJ")),
    ],
)
def test_of_a_raters_name_only_the_speaker_is_removed_and_only_where_the_pattern_has_it(
    tmp_path: Path, pattern: str, tiers: tuple[str, str]
) -> None:
    spans = [(0.0, 1.0, "joy")]
    grid = text_grid([("A", [(0.0, 1.0, "a")]), *((tier, spans) for tier in tiers)])
    transcript = read(tmp_path / "a.TextGrid", grid)
    mistakes, counts = Mistakes(), Counter[str]()
    said = find_said(transcript, Choice(("A",)), mistakes, counts)
    (found,) = label_utterances(transcript, said, Rule((pattern,)), mistakes, counts, [])
    assert [name.rpartition(" ")[2].removeprefix("emotion_") for name in found.votes] == ["Anna", "RAJ"]


@pytest.mark.parametrize(
    ("media", "start_ms"),
    [
        ([("cam2.mp4", 1000)], 0),
        ([("far.mp4", 7), ("cam1.mp4", 500)], 1500),
        ([("cam1.mp4", 0), ("left/cam1.mp4", 1000)], 0),
    ],
)
def test_a_raters_clock_is_compared_by_a_medium_that_both_files_name(
    tmp_path: Path, media: list[tuple[str, int]], start_ms: int
) -> None:
    eaf = Eaf().medium("cam1.mp4", 0).medium("cam2.mp4", 1000).medium("left/cam1.mp4", 1000)
    eaf.aligned("Ann", [(0, 1000, "a"), (1000, 2000, "b"), (2000, 3000, "c")])
    rated = Eaf()
    for name, origin in media:
        rated.medium(name, origin)
    rated.aligned("emotion", [(start_ms, start_ms + 1000, "joy")])
    transcript = read(tmp_path / "v1.eaf", eaf.text())
    other = read(tmp_path / "A2/v1.eaf", rated.text())
    mistakes, counts = Mistakes(), Counter[str]()
    said = find_said(transcript, Choice(("Ann",)), mistakes, counts)
    found = label_utterances(transcript, said, Rule(("emotion",)), mistakes, counts, [], [other])
    expected = ["joy", "", ""] if start_ms == 0 else ["", "", "joy"]
    assert [each.label for each in found] == expected
    assert not any("files of raters" in what for what in counts)


def test_a_raters_label_that_covers_too_little_is_told_with_the_raters_file_and_time(tmp_path: Path) -> None:
    eaf, rated = Eaf().medium("cam1.mp4", 0), Eaf().medium("cam1.mp4", 500)
    eaf.aligned("Ann", [(1000, 2000, "a")])
    rated.aligned("emotion", [(500, 700, "joy")])
    transcript = read(tmp_path / "v1.eaf", eaf.text())
    other = read(tmp_path / "A2/v1.eaf", rated.text())
    mistakes, counts, weak = Mistakes(), Counter[str](), list[str]()
    said = find_said(transcript, Choice(("Ann",)), mistakes, counts)
    label_utterances(transcript, said, Rule(("emotion",)), mistakes, counts, weak, [other])
    assert weak == [f"{tmp_path / 'A2/v1.eaf'}, 0:00:00.500: joy covers 20 %"]


def test_raters_who_name_no_medium_of_the_dialogues_are_counted_with_their_shift(tmp_path: Path) -> None:
    eaf, rated = Eaf().medium("cam1.mp4"), Eaf().medium("cam1.wav", 1000)
    eaf.aligned("Ann", [(0, 1000, "a"), (1000, 2000, "b")])
    rated.aligned("emotion", [(0, 1000, "joy")])
    transcript = read(tmp_path / "v1.eaf", eaf.text())
    other = read(tmp_path / "A2/v1.eaf", rated.text())
    mistakes, counts = Mistakes(), Counter[str]()
    said = find_said(transcript, Choice(("Ann",)), mistakes, counts)
    found = label_utterances(transcript, said, Rule(("emotion",)), mistakes, counts, [], [other])
    assert [each.label for each in found] == ["", "joy"]
    (what,) = [what for what in counts if "files of raters" in what]
    assert what.endswith(f"shifted by 1000 ms as if the first of each were one: {other.path}")


def test_agreement_is_krippendorffs() -> None:
    """Section C of his Computing Krippendorff's Alpha-Reliability: four observers, data missing; 0.743."""
    observers = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")
    units = [["" if vote == "." else vote for vote in unit] for unit in zip(*observers, strict=True)]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)
    # Section B: two observers, twelve units; 0.692.
    two = zip("aabbdcccedda", "babbbccceddd", strict=True)
    assert krippendorff_alpha(list(two)) == pytest.approx(0.692, abs=5e-4)
    assert krippendorff_alpha([["joy"], [""]]) is None
    assert krippendorff_alpha([["joy", "joy"], ["fear", "fear"]]) == 1
