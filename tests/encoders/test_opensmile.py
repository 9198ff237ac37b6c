from __future__ import annotations

from pathlib import Path

import numpy as np
import opensmile
import pytest
import soundfile

from pipeline.encoders.audio.opensmile import Encoder, Params, find_encoder
from pipeline.manifest import Medium
from pipeline.media.decoding import MediaError
from tests.encoders.speech import hum, noise
from tests.media.sounds import read_audio


def encoder(**params: str) -> Encoder:
    return find_encoder("corpora.demo.audio.encoder", Params(**params))


def test_a_clip_has_6373_finite_functionals_in_opensmiles_order(demo_root: Path, sound_clip: Medium) -> None:
    [(_, samples)] = read_audio(demo_root / sound_clip.path, 16000)
    features = encoder().embed(samples)
    assert features.shape == (6373,) == (encoder().dimension,)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    smile = opensmile.Smile(opensmile.FeatureSet.ComParE_2016, opensmile.FeatureLevel.Functionals)
    assert encoder().feature_names == tuple(smile.feature_names)
    assert encoder().feature_names[0] == "audspec_lengthL1norm_sma_range"
    np.testing.assert_array_equal(features, smile.process_signal(samples, 16000).to_numpy(np.float32)[0])


@pytest.mark.parametrize(
    ("feature_set", "seconds"),
    [
        *(
            (name, seconds)
            for name in ("ComParE_2016", "eGeMAPSv02", "GeMAPSv01b")
            for seconds in (0.2, 1.7, 6.0)
        ),
        *((name, 0.2) for name in ("IS09", "IS10", "IS11", "IS12", "IS13", "emobase")),
    ],
)
def test_functionals_of_a_wav_equal_opensmiles_own_to_the_last_bit(
    tmp_path: Path, feature_set: str, seconds: float
) -> None:
    path = tmp_path / "speech_like.wav"
    soundfile.write(path, hum(seconds), 16000)
    [(_, samples)] = read_audio(path, 16000)
    features = encoder(feature_set=feature_set).embed(samples)
    smile = opensmile.Smile(opensmile.FeatureSet[feature_set], opensmile.FeatureLevel.Functionals)
    assert features.tobytes() == smile.process_file(path).to_numpy(np.float32)[0].tobytes()


def test_functionals_of_a_stereo_wav_equal_opensmiles_own_mixdown(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([hum(2.0), 0.3 * noise(32000)], axis=1), 16000)
    [(_, samples)] = read_audio(path, 16000)
    smile = opensmile.Smile(channels=[0, 1], mixdown=True)
    assert encoder().embed(samples).tobytes() == smile.process_file(path).to_numpy()[0].tobytes()


def test_sound_that_overshoots_is_clipped_and_does_not_wrap_around() -> None:
    loud = 1.3 * hum(1.0) / np.abs(hum(1.0)).max()
    crossings = encoder().feature_names.index("pcm_zcr_sma_amean")
    quiet, clipped = (encoder().embed(samples)[crossings] for samples in (hum(1.0), loud))
    assert clipped == pytest.approx(quiet, rel=0.05)


@pytest.mark.parametrize(
    ("feature_set", "count"), [("ComParE_2016", 65), ("eGeMAPSv02", 25), ("IS10", 38), ("emobase", 26)]
)
def test_low_level_descriptors_become_their_mean_and_standard_deviation(feature_set: str, count: int) -> None:
    moments = encoder(feature_set=feature_set, level="lld_mean_std")
    features, names = moments.embed(hum(1.0)), moments.feature_names
    assert len(features) == len(names) == moments.dimension == 2 * count
    smile = opensmile.Smile(opensmile.FeatureSet[feature_set], opensmile.FeatureLevel.LowLevelDescriptors)
    series = smile.process_signal(hum(1.0), 16000)
    for name in smile.feature_names:
        assert features[names.index(f"{name}_mean")] == pytest.approx(series[name].mean(), rel=1e-4, abs=1e-6)
        spread = series[name].std(ddof=0)
        assert features[names.index(f"{name}_std")] == pytest.approx(spread, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("samples", [0, 1, 160, 400, 800])
@pytest.mark.parametrize("level", ["functionals", "lld_mean_std"])
def test_sound_too_short_for_opensmile_is_no_observation(samples: int, level: str) -> None:
    with pytest.raises(MediaError, match="too short"):
        encoder(level=level).embed(noise(samples))


@pytest.mark.parametrize("samples", [3200, 8000])
def test_a_fifth_of_a_second_is_enough(samples: int) -> None:
    assert np.isfinite(encoder().embed(noise(samples))).all()


def test_what_defines_the_vectors_is_the_feature_set_and_its_level() -> None:
    told = [encoder(), encoder(feature_set="eGeMAPSv02"), encoder(level="lld_mean_std")]
    assert len({str(each.settings) for each in told}) == len({each.description for each in told}) == 3
    assert told[1].description == "openSMILE eGeMAPSv02 functionals"
