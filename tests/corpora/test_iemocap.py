from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.iemocap_validation import choose
from pipeline.corpora import iemocap
from pipeline.corpora.iemocap import DEV_DIALOGUES, LABELS, UTTERANCES_OF_LABEL, Params, read_iemocap
from pipeline.errors import UserError
from pipeline.media import audio, frames
from pipeline.media.audio import iterate_sounds
from pipeline.media.clips import audio_clip, image_clip
from pipeline.media.decoding import Span, decode
from pipeline.media.frames import crop_box_px, iterate_frames, read_frames
from pipeline.media.probe import probe
from pipeline.media.probes import examine_file
from stages.manifest import describe
from tests.corpora.conftest import release_dialogues

EVALUATION = "Session1/dialog/EmoEvaluation/Ses01F_impro05.txt"
TRANSCRIPTION = "Session1/dialog/transcriptions/Ses01F_impro05.txt"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="cp1252")
    assert old in text
    path.write_text(text.replace(old, new), encoding="cp1252")


def test_session_5_is_for_testing_and_twelve_fixed_dialogues_for_validation(iemocap_root: Path) -> None:
    utterances = [row.utterance for row in read_iemocap(iemocap_root).annotations]
    dialogues = {u.dialogue: u.split for u in utterances}
    assert Counter(dialogues.values()) == {"train": 108, "dev": 12, "test": 31}
    assert {dialogue[:5] for dialogue, split in dialogues.items() if split == "test"} == {"Ses05"}
    assert {dialogue for dialogue, split in dialogues.items() if split == "dev"} == DEV_DIALOGUES


def test_the_validation_choice_is_balanced() -> None:
    assert Counter(dialogue[:5] for dialogue in DEV_DIALOGUES) == dict.fromkeys(
        ("Ses01", "Ses02", "Ses03", "Ses04"), 3
    )
    assert Counter(dialogue[5] for dialogue in DEV_DIALOGUES) == {"F": 6, "M": 6}
    assert Counter("impro" in dialogue for dialogue in DEV_DIALOGUES) == {True: 6, False: 6}


def test_the_rule_of_the_validation_choice_comes_near_a_tenth_of_every_class() -> None:
    random = np.random.default_rng(0)
    names = [name for session, name in release_dialogues() if session < 5]
    counts = {name: random.multinomial(48, np.full(6, 1 / 6)) for name in names}
    chosen = choose(counts)
    assert choose(dict(reversed(counts.items()))) == chosen  # whatever the order in which they are read
    assert Counter(name[:5] for name in chosen) == dict.fromkeys(("Ses01", "Ses02", "Ses03", "Ses04"), 3)
    assert Counter(name[5] for name in chosen) == {"F": 6, "M": 6}
    assert Counter("impro" in name for name in chosen) == {True: 6, False: 6}
    tenth = sum(counts.values()) / 10
    assert np.abs(sum(counts[name] for name in chosen) - tenth).max() < 0.05 * tenth.mean()


def test_utterances_stand_in_the_order_of_the_transcription_without_other_labels(iemocap_root: Path) -> None:
    corpus = read_iemocap(iemocap_root)
    rows = [row for row in corpus.annotations if row.utterance.dialogue == "Ses01F_impro05"]
    assert [(r.utterance.id, r.utterance.position, r.utterance.label, r.utterance.speaker) for r in rows] == [
        ("Ses01F_impro05_M002", 0, "frustration", "Ses01M"),
        ("Ses01F_impro05_F000", 1, "anger", "Ses01F"),
        ("Ses01F_impro05_M000", 2, "happiness", "Ses01M"),  # by the votes; its summary says xxx
    ]
    assert [r.utterance.text for r in rows] == ["It’s not my fault.", "Where is my luggage?", "Right here."]
    assert [(r.start_s, r.end_s) for r in rows] == [(3.0, 3.8), (0.2, 1.0), (1.0, 2.0)]
    assert corpus.notes == {
        "labelled sur": 1,
        "labelled xxx": 1,
        "transcribed in another form": 1,
        "transcribed with an XX id": 1,
    }


@pytest.mark.parametrize(
    ("votes", "happy"),
    [
        ("C-E1:\tHappiness;\t()\nC-E2:\tHappiness;\t()\nC-E4:\tNeutral;\t()\n", True),
        ("C-E1:\tHappiness;\t()\nC-E2:\tNeutral;\t()\n", False),
        ("C-E1:\tHappiness;\t()\nC-E2:\tNeutral;\t()\nC-M1:\tHappiness;\t()\n", True),
        # Of a self-report only the first emotion counts.
        ("C-E1:\tHappiness;\t()\nC-E2:\tNeutral;\t()\nC-F1:\tNeutral; Happiness;\t()\n", False),
        ("C-E1:\tHappiness;\t()\nC-E2:\tNeutral;\t()\nC-F1:\tHappiness; Neutral;\t()\n", True),
        ("C-E1:\tExcited; Happiness;\t()\nC-E2:\tHappiness;\t()\nC-E4:\tOther;\t()\n", True),
        ("C-E1:\tHappiness; Neutral;\t()\nC-E2:\tHappiness;\t(a joke; Neutral)\n", True),
        ("C-E1:\tExcited;\t()\nC-E2:\tExcited;\t()\nC-E4:\tHappiness;\t()\n", False),
        ("A-E1:\tval 5; act 5; dom  5;\t(Happiness)\n", False),
    ],
)
def test_happiness_counts_where_it_alone_has_the_most_votes(
    iemocap_root: Path, votes: str, happy: bool
) -> None:
    decided = "[2.0000 - 2.5000]\tSes01F_impro05_F001\txxx\t[3.0000, 3.0000, 3.0000]\n"
    old = "C-E1:\tAnger;\t()\nC-E2:\tSadness;\t()\nC-E4:\tNeutral;\t()\n"
    edit(iemocap_root / EVALUATION, decided + old, decided + votes)
    labels = {r.utterance.id: r.utterance.label for r in read_iemocap(iemocap_root).annotations}
    assert labels.get("Ses01F_impro05_F001") == ("happiness" if happy else None)


def test_the_crop_shows_the_one_who_speaks(iemocap_root: Path) -> None:
    rows = {r.utterance.id: r for r in read_iemocap(iemocap_root).annotations}
    for id, channel in (("Ses01F_impro05_F000", 0), ("Ses01F_impro05_M000", 2)):
        row = rows[id]
        assert row.start_s is not None
        assert row.end_s is not None
        [(_, sampled)] = read_frames(iemocap_root / row.media, 3, [Span(row.start_s, row.end_s)])
        image = sampled.images[0]
        left, top, right, bottom = crop_box_px(row.crop, image.shape[1], image.shape[0])
        colour = image[top:bottom, left:right].mean(axis=(0, 1))
        assert colour.argmax() == channel
        assert colour[channel] > 200
    second_half = next(r for r in rows.values() if r.utterance.dialogue == "Ses01M_impro05")
    assert (second_half.utterance.speaker, second_half.crop) == ("Ses01F", "right")


def test_the_sentence_is_heard_where_it_has_a_file_and_the_video_otherwise(iemocap_root: Path) -> None:
    rows = {r.utterance.id: r for r in read_iemocap(iemocap_root).annotations}
    sentence = rows["Ses01F_impro05_F000"].audio
    assert sentence == "Session1/sentences/wav/Ses01F_impro05/Ses01F_impro05_F000.wav"
    assert probe(iemocap_root / sentence).sample_rate_hz == 16000
    assert rows["Ses01F_impro05_M000"].audio == ""
    video = probe(iemocap_root / rows["Ses01F_impro05_M000"].media)
    assert (video.image_problem, video.audio_problem, video.channels) == ("", "", 2)


def test_a_video_is_decoded_once_for_all_its_utterances(
    iemocap_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [r for r in read_iemocap(iemocap_root).annotations if r.utterance.dialogue == "Ses01F_impro05"]
    files = {name for row in rows for name in (row.media, row.audio) if name}
    probed = {name: examine_file(iemocap_root / name) for name in files}
    media = [describe(row, probed) for row in rows]
    decoded: list[tuple[str, str]] = []

    def counted(container: Any, stream: Any) -> Iterator[Any]:
        decoded.append((Path(container.name).suffix, stream.type))
        return decode(container, stream)

    for module in (audio, frames):
        monkeypatch.setattr(module, "decode", counted)
    sampled = dict(iterate_frames([image_clip(row) for row in media], iemocap_root, 3))
    assert [len(sampled[place].images) for place in range(3)] == [3, 3, 3]
    sounds = dict(iterate_sounds([audio_clip(row) for row in media], iemocap_root, 16000))
    assert [len(sounds[place].samples) for place in range(3)] == [12800, 12800, 16000]
    assert sorted(decoded) == [(".avi", "audio"), (".avi", "video"), (".wav", "audio")]


def test_a_session_that_is_not_there_is_named(iemocap_root: Path) -> None:
    (iemocap_root / "Session4").rename(iemocap_root / "Session 4")
    with pytest.raises(UserError, match=r"Session4/dialog/EmoEvaluation is missing.*'root' in params\.yaml"):
        read_iemocap(iemocap_root)


def test_a_dialogue_without_its_transcription_is_named(iemocap_root: Path) -> None:
    (iemocap_root / TRANSCRIPTION).unlink()
    with pytest.raises(UserError, match=r"transcriptions/Ses01F_impro05\.txt is missing"):
        read_iemocap(iemocap_root)


def test_a_release_that_was_not_unpacked_whole_is_refused(iemocap_root: Path) -> None:
    for kind in ("EmoEvaluation", "transcriptions"):
        (iemocap_root / "Session3" / "dialog" / kind / "Ses03M_impro08b.txt").unlink()
    with pytest.raises(UserError, match="Session3/dialog: 31 dialogues where the release has 32"):
        read_iemocap(iemocap_root)


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        (EVALUATION, "\tang\t", "\tbored\t", r"impro05\.txt, line 3: label 'bored' of utterance .*_F000"),
        (EVALUATION, "[0.2000 - 1.0000]", "[1.0000 - 1.0000]", "_F000 ends at 1 s, not after its start"),
        (EVALUATION, "[0.2000 - 1.0000]", "[0.2000]", "line 3: a summary must read"),
        (EVALUATION, "[1.0000 - 2.0000]", " [1.0000 - 2.0000]", "line 10: neither a summary, a rating nor"),
        (EVALUATION, "\n\n[1.0000", "[1.0000", r"line 8: neither a summary, a rating nor .*\[1\.0000"),
        (EVALUATION, "C-M1:", "CM1:", "line 14: neither a summary, a rating nor a comment: 'CM1:"),
        (EVALUATION, "impro05_M002", "impro05_F000", "_F000 is evaluated more than once: also .* line 3"),
        (TRANSCRIPTION, "impro05_F000", "impro05_F009", "_F000 is evaluated but not transcribed"),
        (TRANSCRIPTION, "impro05_F001", "impro05_F000", "line 6: .*_F000 is transcribed more than once"),
        (TRANSCRIPTION, "Mm.", "M\0m.", r"impro05\.txt, line 2: holds a NUL byte"),
    ],
)
def test_a_mistake_is_named_by_file_line_and_utterance(
    iemocap_root: Path, file: str, old: str, new: str, complaint: str
) -> None:
    edit(iemocap_root / file, old, new)
    with pytest.raises(UserError, match=complaint):
        read_iemocap(iemocap_root)


def test_an_utterance_of_two_dialogues_is_named(iemocap_root: Path) -> None:
    for kind in ("EmoEvaluation", "transcriptions"):
        folder = iemocap_root / "Session1" / "dialog" / kind
        shutil.copy(folder / "Ses01F_impro01.txt", folder / "Ses01F_impro02.txt")
    complaint = r"impro02\.txt, line 3: utterance Ses01F_impro01_F000 .* also .*impro01\.txt, line 3"
    with pytest.raises(UserError, match=complaint):
        read_iemocap(iemocap_root)


@pytest.fixture
def whole_release(iemocap_root: Path) -> Path:
    """As many utterances of each emotion as the published set has; the first dialogue has the others."""
    found = Counter(row.utterance.label for row in read_iemocap(iemocap_root).annotations)
    lines, texts = [], []
    for short, label in LABELS.items():
        for _ in range(UTTERANCES_OF_LABEL[label] - found[label]):
            actor, number = "FM"[len(lines) % 2], len(lines) // 2 + 1
            id = f"Ses01F_impro01_{actor}{number:03x}"
            lines.append(f"[1.0 - 2.0]\t{id}\t{short}\t[2.5, 2.5, 2.5]\n")
            texts.append(f"{id} [001.0000-002.0000]: Well.\n")
    for kind, added in (("EmoEvaluation", lines), ("transcriptions", texts)):
        with (iemocap_root / "Session1/dialog" / kind / "Ses01F_impro01.txt").open("a") as file:
            file.writelines(added)
    return iemocap_root


def test_a_whole_release_holds_the_published_7433_utterances(whole_release: Path) -> None:
    annotations = iemocap.read(whole_release, Params()).annotations
    assert len(annotations) == 7433
    assert {row.utterance.label for row in annotations} == set(iemocap.label_names(()))


def test_a_release_with_other_counts_stops_with_the_difference(whole_release: Path) -> None:
    edit(whole_release / EVALUATION, "\tang\t", "\thap\t")
    edit(whole_release / EVALUATION, "\tfru\t", "\tsur\t")
    with pytest.raises(
        UserError,
        match="7432 utterances where the six-class set has 7433: happiness 649 instead of 648,"
        " anger 1102 instead of 1103, frustration 1848 instead of 1849;",
    ):
        iemocap.read(whole_release, Params())
