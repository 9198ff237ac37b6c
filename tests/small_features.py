"""Small feature files with the names of real corpora: ids, labels and speakers as there, random features."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from pipeline.corpora.annotations.labels import IEMOCAP, MELD
from pipeline.features.content import Features, ModalityFeatures

DIMENSIONS = {"text": 8, "audio": 30, "visual": 12}
UNOBSERVED = 3
"""Row whose audio and visual features were not observed."""

# split, dialogue, speaker, label, id
Row = tuple[str, str, str, str, str]


def build(corpus: str, rows: Sequence[Row], labels: Sequence[str]) -> Features:
    """Utterances of one corpus; those whose label is empty are unlabelled."""
    random = np.random.default_rng(0)
    split, dialogue, speaker, label, ids = (
        np.array(column, dtype=object) for column in zip(*rows, strict=True)
    )
    everywhere = np.ones(len(rows), bool)
    elsewhere = np.arange(len(rows)) != UNOBSERVED

    def modality(name: str, observed: np.ndarray) -> ModalityFeatures:
        # Scales as far apart as openSMILE's.
        values = random.normal(size=(len(rows), DIMENSIONS[name])) * np.geomspace(1e-3, 1e9, DIMENSIONS[name])
        return ModalityFeatures(
            np.where(observed[:, None], values, 0).astype(np.float32),
            observed,
            np.where(observed, "", "clip missing").astype(object),
        )

    return Features(
        corpus=corpus,
        label_names=tuple(labels),
        id=ids,
        split=split,
        dialogue=dialogue,
        position=np.array([place for _, group in groupby(dialogue) for place, _ in enumerate(group)]),
        speaker=speaker,
        label=np.array([labels.index(name) if name else -1 for name in label]),
        text=np.array([f"Line {number}: “så”" for number in range(len(rows))], dtype=object),
        start_s=np.full(len(rows), np.nan),
        end_s=np.full(len(rows), np.nan),
        modalities={
            "text": modality("text", everywhere),
            "audio": modality("audio", elsewhere),
            "visual": modality("visual", elsewhere),
        },
        provenance={
            "encoders": {
                "text": "RoBERTa from a/b, fine-tuned on the training split",
                "audio": "openSMILE ComParE_2016 functionals",
                "visual": "UNTRAINED ResNet-101 (random weights, seed 0)",
            },
            "sources": {
                "text": {
                    "settings": {"weights": {"model.safetensors": "ab" * 32}},
                    "versions": {"torch": "2.12"},
                },
                "audio": {"settings": {"encoder": {"kind": "opensmile"}, "silence_dbfs": -70.0}},
                "visual": {
                    "settings": {
                        "encoder": {"kind": "resnet"},
                        "weights": {"untrained": "resnet101, seed 0"},
                    }
                },
            },
        },
    )


def meld() -> Features:
    """Three training dialogues, of which number 60 does not exist, one of validation and two of test."""
    rows: list[Row] = []
    lengths = {
        "train_dia0": 3,
        "train_dia59": 2,
        "train_dia61": 4,
        "dev_dia0": 2,
        "test_dia0": 2,
        "test_dia279": 1,
    }
    names = ("Ross", "Rachel", "Ross", "Joey")
    for number, (dialogue, length) in enumerate(lengths.items()):
        for place in range(length):
            label = MELD[(number + place) % len(MELD)]
            rows.append((dialogue.split("_")[0], dialogue, names[place], label, f"{dialogue}_utt{place}"))
    return build("meld", rows, MELD)


def iemocap() -> Features:
    """Two dialogues for training, one for validation and one for test, of two actors each."""
    rows: list[Row] = []
    dialogues = (
        ("train", "Ses01F_script01_1"), ("train", "Ses02F_impro01"), ("dev", "Ses01F_impro01"),
        ("test", "Ses05M_impro02"),
    )  # fmt: skip
    for split, dialogue in dialogues:
        for place in range(4):
            gender = "FM"[place % 2]
            label = IEMOCAP[place]
            rows.append((split, dialogue, f"{dialogue[:5]}{gender}", label, f"{dialogue}_{gender}{place:03}"))
    return build("iemocap", rows, IEMOCAP)


def recordings() -> Features:
    """A lab's own table, with a dialogue of ten speakers and an utterance without a label."""
    rows: list[Row] = [
        ("train", "visit1", f"S{n}", ("calm", "upset")[n % 2], f"visit1_{n}") for n in range(10)
    ]
    rows += [("train", "visit2", "A", "", "visit2_1"), ("train", "visit2", "B", "calm", "visit2_2")]
    rows += [("dev", "visit3", "A", "upset", "visit3_1"), ("test", "visit4", "", "calm", "visit4_1")]
    return build("lab", rows, ("calm", "upset"))
