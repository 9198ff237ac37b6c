from __future__ import annotations

from pathlib import Path

import numpy as np
import opensmile
import pytest

from pipeline.manifest import Medium
from pipeline.media import MediaError, read_sound
from pipeline.params import AudioParams
from stages.audio import describe_sound, describe_sound_of_dialogue

PARAMS = AudioParams()


def test_a_clip_has_6373_finite_functionals_in_opensmiles_order(demo_root: Path, sound_clip: Medium) -> None:
    samples = read_sound(demo_root / sound_clip.path, 16000)
    features = describe_sound(samples, PARAMS)
    assert features.shape == (6373,)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    smile = opensmile.Smile(opensmile.FeatureSet.ComParE_2016, opensmile.FeatureLevel.Functionals)
    assert smile.feature_names[0] == "audspec_lengthL1norm_sma_range"
    np.testing.assert_array_equal(features, smile.process_signal(samples, 16000).to_numpy(np.float32)[0])


@pytest.mark.parametrize("amplitude", [0.0, 1e-5])
def test_silence_is_no_observation(amplitude: float) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, 16000).astype(np.float32)
    with pytest.raises(MediaError, match="silent"):
        describe_sound(amplitude * noise, PARAMS)


def test_sound_too_short_for_opensmile_is_no_observation_and_never_nan() -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, 16000).astype(np.float32)
    for samples in (0, 1, 160, 400, 800, 1600, 3200, 8000):
        try:
            assert np.isfinite(describe_sound(noise[:samples], PARAMS)).all()
        except MediaError as error:
            assert samples <= 1600
            assert "too short" in str(error) or "silent" in str(error)


def test_reasons_stand_beside_the_zeros(demo_root: Path, demo_media: dict[str, Medium]) -> None:
    result = describe_sound_of_dialogue(list(demo_media.values()), demo_root, PARAMS)
    reasons = dict(zip(demo_media, result["reason"].tolist(), strict=True))
    assert sorted(reason.split(":")[0] for reason in reasons.values() if reason) == [
        "cannot be opened", "clip missing", "no sound track", "silent",
    ]  # fmt: skip
    assert not result["features"][result["reason"] != ""].any()
    assert (result["features"][result["reason"] == ""] != 0).any(axis=1).all()
