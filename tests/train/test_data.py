"""Standardisation and batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.errors import UserError
from pipeline.features.file import ModalityFeatures
from train.data import CLIP_STD, Dialogues, fit_standardisation


def with_values(features, values, observed=None):
    """The features with other audio values (float32 [N, D])."""
    observed = features.modalities["audio"].observed if observed is None else observed
    audio = ModalityFeatures(values.astype(np.float32), observed, np.where(observed, "", "no sound"))
    return replace(features, modalities=features.modalities | {"audio": audio})


def test_observed_training_utterances_get_mean_0_and_deviation_1(make_features):
    features = make_features()
    audio = features.modalities["audio"]
    statistics = fit_standardisation(features, ["audio"])
    z = statistics.apply("audio", audio.features, audio.observed)
    z = z[audio.observed & (features.split == "train")]
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-5)


def test_statistics_come_from_observed_training_rows_only(make_features):
    features = make_features()
    audio = features.modalities["audio"]
    used = audio.observed & (features.split == "train")
    assert 0 < used.sum() < (features.split == "train").sum()
    elsewhere = np.where(used[:, None], audio.features, 1e6)
    before, after = (fit_standardisation(f, ["audio"]) for f in (features, with_values(features, elsewhere)))
    np.testing.assert_array_equal(before.mean["audio"], after.mean["audio"])
    np.testing.assert_array_equal(before.scale["audio"], after.scale["audio"])


def test_standardisation_survives_the_range_of_opensmile(make_features):
    features = make_features()
    audio = features.modalities["audio"]
    values = audio.features.astype(np.float64)
    values[:, 0] = values[:, 0] * 1e13 + 1e13
    values[:, 1] *= 1e-9
    values[:, 2] = 1.1e13  # constant, and not exact in float32
    values[:, 3] = 0
    values[~audio.observed] = 0
    changed = with_values(features, values)
    statistics = fit_standardisation(changed, ["audio"])
    z = statistics.apply("audio", changed.modalities["audio"].features, audio.observed)
    plain = fit_standardisation(features, ["audio"]).apply("audio", audio.features, audio.observed)
    assert np.isfinite(z).all()
    assert not z[:, 2:4].any()
    np.testing.assert_allclose(z[:, :2], plain[:, :2], atol=1e-4)
    np.testing.assert_allclose(z[:, 4:], plain[:, 4:], atol=1e-6)


def test_a_feature_constant_in_training_is_0_in_other_splits_too(make_features):
    features = make_features()
    audio = features.modalities["audio"]
    values = audio.features.copy()
    values[:, 0] = np.where(audio.observed & (features.split == "train"), 5, 700)
    statistics = fit_standardisation(with_values(features, values), ["audio"])
    assert not statistics.apply("audio", values, audio.observed)[:, 0].any()


def test_outliers_are_cut_off_and_unobserved_rows_are_zero(make_features):
    features = make_features()
    audio = features.modalities["audio"]
    statistics = fit_standardisation(features, ["audio"])
    z = statistics.apply("audio", np.full_like(audio.features, 1e12), audio.observed)
    assert (z[audio.observed] == CLIP_STD).all()
    assert not z[~audio.observed].any()


def test_a_modality_that_training_never_saw_is_an_error(make_features):
    features = make_features()
    silence = np.zeros_like(features.modalities["audio"].features)
    blind = with_values(features, silence, observed=features.split == "test")
    with pytest.raises(UserError, match="no training utterance has audio features"):
        fit_standardisation(blind, ["text", "audio"])


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
