from __future__ import annotations

import pytest

from pipeline.corpora.annotations.corpus import SPLITS, Annotation
from pipeline.corpora.annotations.doubts import find_doubts
from pipeline.manifest import Utterance


def corpus(labels: dict[str, list[str]], media: str = "", **cells: str) -> list[Annotation]:
    """One dialogue per split of utterances with these labels."""
    row = {"speaker": "Ann", "text": "x", **cells}
    return [
        Annotation(
            Utterance(f"{split}_{n}", split, split, n, label=label, **row), media and f"{split}{n}{media}"
        )
        for split in SPLITS
        for n, label in enumerate(labels.get(split, []))
    ]


def everywhere(*labels: str) -> dict[str, list[str]]:
    return {split: list(labels) for split in SPLITS}


SOUND = everywhere("joy", "anger", "")


@pytest.mark.parametrize("labels", [SOUND, everywhere("", ""), {"test": ["", ""]}])
def test_a_sound_corpus_and_one_without_labels_give_no_warning(labels: dict[str, list[str]]) -> None:
    assert find_doubts(corpus(labels, media=".mp4")) == []


@pytest.mark.parametrize(
    ("labels", "warning"),
    [
        (
            SOUND | {"test": ["happines", "joy"], "train": ["happiness", "joy"], "dev": ["happiness", "joy"]},
            "classes that train lacks, so that no network can learn them: 'happines' (1; is it 'happiness'?)",
        ),
        (SOUND | {"train": ["joy", "anger", "angre", "fear"]},
         "classes that only train has: 'angre' (1; is it 'anger'?), 'fear' (1)"),
        (SOUND | {"train": []}, "no labelled utterance in train: no network can learn from this corpus"),
        (SOUND | {"dev": ["", ""]}, "no labelled utterance in dev: no epoch can be chosen"),
        (SOUND | {"test": []}, "no labelled utterance in test: there is nothing to score"),
        (everywhere("0", "1"),
         "labels that are numbers: 0, 1; they count as names of classes, not as measures"),
        (everywhere("joy", "joy"), "one class only, 'joy': there is nothing to tell apart"),
    ],
)  # fmt: skip
def test_labels_that_would_give_another_score_than_is_meant_are_told(
    labels: dict[str, list[str]], warning: str
) -> None:
    assert find_doubts(corpus(labels)) == [warning]


def test_many_odd_classes_are_counted() -> None:
    labels = SOUND | {"test": [*"abcdefgh", "joy", "anger"]}
    [warning] = find_doubts(corpus(labels))
    assert warning.endswith("'a' (1), 'b' (1), 'c' (1), 'd' (1), 'e' (1) and 3 more")


def test_utterances_with_the_same_piece_of_a_file_are_told() -> None:
    rows = corpus(SOUND)
    spans = [(0.0, 1.0), (1.0, 2.0), (0.0, 1.0)]
    rows = [
        row._replace(media="a.mp4", start_s=start, end_s=end)
        for row, (start, end) in zip(rows, spans, strict=False)
    ]
    [warning] = find_doubts([*rows, *corpus(SOUND)[3:]])
    assert warning == "2 utterances have the same file and span as another: train_0 and train_2"
    assert find_doubts([rows[0], rows[1], rows[2]._replace(crop="left"), *corpus(SOUND)[3:]]) == []
    [warning] = find_doubts([*rows[:2], corpus(SOUND)[2], *corpus({"dev": ["joy", "anger"], "test": ["joy"]}),
                             rows[0]._replace(utterance=corpus(SOUND)[7].utterance)])  # fmt: skip
    assert warning.startswith("2 utterances have the same file and span as another, some in another split")


def test_speakers_that_differ_in_capitals_alone_are_told() -> None:
    [warning] = find_doubts([*corpus(SOUND), *corpus({"train": ["joy"]}, speaker="ANN")])
    assert warning == "speakers that differ in capitals alone, and count as several: 'ANN' and 'Ann'"
