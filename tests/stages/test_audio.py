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
    [samples] = read_sound(demo_root / sound_clip.path, 16000)
    features = describe_sound(samples, PARAMS)
    assert features.shape == (6373,)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    smile = opensmile.Smile(opensmile.FeatureSet.ComParE_2016, opensmile.FeatureLevel.Functionals)
    assert smile.feature_names[0] == "audspec_lengthL1norm_sma_range"
    np.testing.assert_array_equal(features, smile.process_signal(samples, 16000).to_numpy(np.float32)[0])


@pytest.mark.parametrize("amplitude", [0.0, 1e-5])
def test_silence_is_no_observation(amplitude: float) -> None:
    with pytest.raises(MediaError, match="silent"):
        describe_sound(amplitude * noise(16000), PARAMS)


@pytest.mark.parametrize("samples", [0, 1, 160, 400, 800])
def test_sound_too_short_for_opensmile_is_no_observation(samples: int) -> None:
    with pytest.raises(MediaError, match=r"too short|silent"):
        describe_sound(noise(samples), PARAMS)


@pytest.mark.parametrize("samples", [3200, 8000])
def test_a_fifth_of_a_second_is_enough(samples: int) -> None:
    assert np.isfinite(describe_sound(noise(samples), PARAMS)).all()


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, samples).astype(np.float32)


def test_reasons_stand_beside_the_zeros(demo_root: Path, demo_media: dict[str, Medium]) -> None:
    result = describe_sound_of_dialogue(list(demo_media.values()), demo_root, PARAMS)
    reasons = dict(zip(demo_media, result["reason"].tolist(), strict=True))
    assert sorted(reason.split(":")[0] for reason in reasons.values() if reason) == [
        "cannot be opened", "clip missing", "no sound track", "silent",
    ]  # fmt: skip
    assert not result["features"][result["reason"] != ""].any()
    assert (result["features"][result["reason"] == ""] != 0).any(axis=1).all()
