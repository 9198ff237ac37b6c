from __future__ import annotations

from pathlib import Path

import numpy as np
import opensmile
import pytest
import soundfile

from pipeline.manifest import Medium
from pipeline.media.audio import read_audio
from pipeline.media.decoding import MediaError
from pipeline.params import AudioParams
from stages.audio import describe_audio, describe_audio_of_dialogue, feature_names

PARAMS = AudioParams()


def test_a_clip_has_6373_finite_functionals_in_opensmiles_order(demo_root: Path, sound_clip: Medium) -> None:
    [samples] = read_audio(demo_root / sound_clip.path, 16000)
    features = describe_audio(samples, PARAMS)
    assert features.shape == (6373,)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    smile = opensmile.Smile(opensmile.FeatureSet.ComParE_2016, opensmile.FeatureLevel.Functionals)
    assert smile.feature_names[0] == "audspec_lengthL1norm_sma_range"
    np.testing.assert_array_equal(features, smile.process_signal(samples, 16000).to_numpy(np.float32)[0])


@pytest.mark.parametrize("feature_set", ["ComParE_2016", "eGeMAPSv02", "GeMAPSv01b"])
@pytest.mark.parametrize("seconds", [0.2, 1.7, 6.0])
def test_functionals_of_a_wav_equal_opensmiles_own_to_the_last_bit(
    tmp_path: Path, feature_set: str, seconds: float
) -> None:
    path = tmp_path / "speech_like.wav"
    soundfile.write(path, hum(seconds), 16000)
    [samples] = read_audio(path, 16000)
    features = describe_audio(samples, AudioParams(feature_set=feature_set))
    smile = opensmile.Smile(opensmile.FeatureSet[feature_set], opensmile.FeatureLevel.Functionals)
    assert features.tobytes() == smile.process_file(path).to_numpy(np.float32)[0].tobytes()


def test_functionals_of_a_stereo_wav_equal_opensmiles_own_mixdown(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([hum(2.0), 0.3 * noise(32000)], axis=1), 16000)
    [samples] = read_audio(path, 16000)
    smile = opensmile.Smile(channels=[0, 1], mixdown=True)
    assert describe_audio(samples, PARAMS).tobytes() == smile.process_file(path).to_numpy()[0].tobytes()


def test_sound_that_overshoots_is_clipped_and_does_not_wrap_around() -> None:
    loud = 1.3 * hum(1.0) / np.abs(hum(1.0)).max()
    crossings = feature_names(PARAMS).index("pcm_zcr_sma_amean")
    quiet, clipped = (describe_audio(samples, PARAMS)[crossings] for samples in (hum(1.0), loud))
    assert clipped == pytest.approx(quiet, rel=0.05)


@pytest.mark.parametrize(("feature_set", "count"), [("ComParE_2016", 65), ("eGeMAPSv02", 25)])
def test_low_level_descriptors_become_their_mean_and_standard_deviation(feature_set: str, count: int) -> None:
    params = AudioParams(feature_set=feature_set, level="lld_mean_std")
    features, names = describe_audio(hum(1.0), params), feature_names(params)
    assert len(features) == len(names) == 2 * count
    smile = opensmile.Smile(opensmile.FeatureSet[feature_set], opensmile.FeatureLevel.LowLevelDescriptors)
    series = smile.process_signal(hum(1.0), 16000)
    for name in smile.feature_names:
        assert features[names.index(f"{name}_mean")] == pytest.approx(series[name].mean(), rel=1e-4, abs=1e-6)
        spread = series[name].std(ddof=0)
        assert features[names.index(f"{name}_std")] == pytest.approx(spread, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("amplitude", [0.0, 1e-5])
def test_silence_is_no_observation(amplitude: float) -> None:
    with pytest.raises(MediaError, match="silent"):
        describe_audio(amplitude * noise(16000), PARAMS)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_wav_that_holds_no_numbers_is_no_observation(tmp_path: Path, value: float) -> None:
    damaged = hum(1.0)
    damaged[500:510] = value
    soundfile.write(tmp_path / "damaged.wav", damaged, 16000, subtype="FLOAT")
    [samples] = read_audio(tmp_path / "damaged.wav", 16000)
    with pytest.raises(MediaError, match="sound holds values that are no finite numbers"):
        describe_audio(samples, PARAMS)


@pytest.mark.parametrize("samples", [0, 1, 160, 400, 800])
@pytest.mark.parametrize("level", ["functionals", "lld_mean_std"])
def test_sound_too_short_for_opensmile_is_no_observation(samples: int, level: str) -> None:
    with pytest.raises(MediaError, match=r"too short|silent"):
        describe_audio(noise(samples), AudioParams(level=level))


@pytest.mark.parametrize("samples", [3200, 8000])
def test_a_fifth_of_a_second_is_enough(samples: int) -> None:
    assert np.isfinite(describe_audio(noise(samples), PARAMS)).all()


def hum(seconds: float) -> np.ndarray:
    """Something like a voice: a gliding pitch with harmonics, in bursts, over a little noise."""
    time_s = np.arange(round(16000 * seconds)) / 16000
    phase = 2 * np.pi * np.cumsum(120 + 40 * np.sin(2 * np.pi * 0.7 * time_s)) / 16000
    voice = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 20))
    bursts = 0.55 + 0.45 * np.sin(2 * np.pi * 3 * time_s)
    return (0.2 * bursts * voice + 0.003 * noise(len(time_s))).astype(np.float32)


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, samples).astype(np.float32)


def test_reasons_stand_beside_the_zeros(demo_root: Path, demo_media: dict[str, Medium]) -> None:
    result = describe_audio_of_dialogue(list(demo_media.values()), demo_root, PARAMS)
    reasons = dict(zip(demo_media, result["reason"].tolist(), strict=True))
    assert sorted(reason.split(":")[0] for reason in reasons.values() if reason) == [
        "cannot be opened", "clip missing", "no sound track", "silent",
    ]  # fmt: skip
    assert not result["features"][result["reason"] != ""].any()
    assert (result["features"][result["reason"] == ""] != 0).any(axis=1).all()
