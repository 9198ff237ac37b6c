"""Dialogues and batches."""

from __future__ import annotations

from dataclasses import replace

import torch

from pipeline.features.standardisation import fit_standardisation
from train.data import Dialogues


def test_a_batch_holds_its_dialogues_the_longest_first(make_features):
    features = make_features()
    statistics = fit_standardisation(features, ["text", "audio"])
    dialogues = Dialogues.from_features(features, statistics)
    spans = dialogues.spans["dev"]
    assert len({len(span) for span in spans}) > 1
    batch = dialogues.batch(spans)
    assert sorted(batch.features) == ["audio", "text"]
    expected = [row for span in sorted(spans, key=len, reverse=True) for row in span]
    assert batch.row.tolist() == expected
    assert batch.label.tolist() == features.label[expected].tolist()
    assert batch.observed["audio"].tolist() == features.modalities["audio"].observed[expected].tolist()
    assert torch.equal(batch.features["text"], dialogues.features["text"][expected])
    of_dialogue = batch.speaker.split(sorted(map(len, spans), reverse=True))
    for span, numbers in zip(sorted(spans, key=len, reverse=True), of_dialogue, strict=True):
        speakers = features.speaker[span.start : span.stop]
        first_seen = list(dict.fromkeys(speakers))
        assert numbers.tolist() == [first_seen.index(name) for name in speakers]


def test_dialogues_of_a_split_are_all_there_once(make_features):
    features = make_features()
    dialogues = Dialogues.from_features(features, fit_standardisation(features, ["text"]))
    rows = [row for split in ("train", "dev", "test") for span in dialogues.spans[split] for row in span]
    assert sorted(rows) == list(range(len(features)))
    assert [len(spans) for spans in dialogues.spans.values()] == [12, 4, 4]


def test_speakers_are_not_limited_to_nine(make_features):
    features = make_features(train=3)
    crowd = replace(features, speaker=features.id)
    dialogues = Dialogues.from_features(crowd, fit_standardisation(crowd, ["text"]))
    assert dialogues.speakers == max(len(span) for spans in dialogues.spans.values() for span in spans)
