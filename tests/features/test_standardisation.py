"""Features in standard deviations from the mean of the observed training utterances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.features.content import UTTERANCE_COLUMNS, Features, ModalityFeatures
from pipeline.features.standardisation import CLIP_STD, ROWS_AT_ONCE, fit_standardisation
from tests import small_features

WHOLE = small_features.meld()
OBSERVED = WHOLE.modalities["audio"].observed
TRAINING = OBSERVED & (WHOLE.split == "train")
VALUES = np.random.default_rng(0).normal(size=(len(WHOLE), 6))


def with_audio(values: np.ndarray, observed: np.ndarray = OBSERVED) -> Features:
    """A small MELD with these values [N, D] as audio features, 0 where not observed."""
    audio = ModalityFeatures(
        np.where(observed[:, None], values, 0).astype(np.float32),
        observed,
        np.where(observed, "", "no sound"),
    )
    return replace(WHOLE, modalities=WHOLE.modalities | {"audio": audio})


def standardised(features: Features) -> np.ndarray:
    """The audio features by their own statistics."""
    audio = features.modalities["audio"]
    return fit_standardisation(features, ["audio"]).apply("audio", audio.features, audio.observed)


def test_observed_training_utterances_get_mean_0_and_deviation_1() -> None:
    z = standardised(with_audio(VALUES))[TRAINING]
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-5)


def test_statistics_come_from_observed_training_rows_only() -> None:
    assert 0 < TRAINING.sum() < (WHOLE.split == "train").sum()
    features = with_audio(VALUES)
    features.modalities["audio"].features[~TRAINING] = 1e6
    before, after = (fit_standardisation(f, ["audio"]) for f in (with_audio(VALUES), features))
    np.testing.assert_array_equal(before.mean["audio"], after.mean["audio"])
    np.testing.assert_array_equal(before.scale["audio"], after.scale["audio"])


def test_standardisation_survives_the_range_of_opensmile() -> None:
    values = VALUES.copy()
    values[:, 0] = values[:, 0] * 1e13 + 1e13
    values[:, 1] *= 1e-9
    values[:, 2] = 1.1e13  # constant, and not exact in float32
    values[:, 3] = 0
    z, plain = standardised(with_audio(values)), standardised(with_audio(VALUES))
    assert np.isfinite(z).all()
    assert not z[:, 2:4].any()
    np.testing.assert_allclose(z[:, :2], plain[:, :2], atol=1e-4)
    np.testing.assert_allclose(z[:, 4:], plain[:, 4:], atol=1e-6)


def test_statistics_of_many_rows_are_those_of_all_of_them_at_once() -> None:
    many = np.tile(np.arange(len(WHOLE)), 300)
    observed = OBSERVED[many]
    values = np.random.default_rng(1).normal(size=(len(many), 3)) * [1e-3, 1e5, 1e12] + 3
    audio = ModalityFeatures(values.astype(np.float32), observed, np.where(observed, "", "no sound"))
    columns = {name: getattr(WHOLE, name)[many] for name in UTTERANCE_COLUMNS}
    features = replace(WHOLE, **columns, modalities={"audio": audio})
    rows = audio.features[TRAINING[many]].astype(np.float64)
    assert len(rows) > 2 * ROWS_AT_ONCE
    statistics = fit_standardisation(features, ["audio"])
    np.testing.assert_allclose(statistics.mean["audio"], rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(statistics.scale["audio"], 1 / rows.std(axis=0), rtol=1e-12)


def test_a_feature_constant_in_training_is_0_in_other_splits_too() -> None:
    values = VALUES.copy()
    values[:, 0] = np.where(TRAINING, 5, 700)
    assert not standardised(with_audio(values))[:, 0].any()


def test_outliers_are_cut_off_and_unobserved_rows_are_zero() -> None:
    statistics = fit_standardisation(with_audio(VALUES), ["audio"])
    z = statistics.apply("audio", np.full(VALUES.shape, 1e12, np.float32), OBSERVED)
    assert (z[OBSERVED] == CLIP_STD).all()
    assert not z[~OBSERVED].any()


def test_a_modality_that_training_never_saw_is_an_error() -> None:
    blind = with_audio(VALUES, observed=WHOLE.split == "test")
    with pytest.raises(UserError, match="no training utterance has audio features"):
        fit_standardisation(blind, ["text", "audio"])
