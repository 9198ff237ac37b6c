from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.encoders.audio.opensmile import Encoder, Params, find_encoder
from pipeline.encoders.audio_vectors import describe_audio_of_dialogue, describe_sounds
from pipeline.manifest import Medium
from pipeline.media.clips import audio_clip
from pipeline.media.decoding import MediaError
from tests.encoders.speech import hum, noise
from tests.media.broken import write_liars
from tests.media.sounds import read_audio

ENCODER = find_encoder("corpora.demo.audio.encoder", Params())
SILENCE_DBFS = -70.0


def describe(samples: np.ndarray, encoder: Encoder, silence_dbfs: float) -> np.ndarray:
    [found] = describe_sounds([samples], encoder, silence_dbfs)
    if isinstance(found, MediaError):
        raise found
    return found


@pytest.mark.parametrize("amplitude", [0.0, 1e-5])
def test_silence_is_no_observation(amplitude: float) -> None:
    with pytest.raises(MediaError, match="silent"):
        describe(amplitude * noise(16000), ENCODER, SILENCE_DBFS)


def test_the_level_of_silence_is_that_of_the_loudest_sample() -> None:
    quiet = 10 ** (-60 / 20) * hum(1.0) / np.abs(hum(1.0)).max()
    assert describe(quiet, ENCODER, -60.1).shape == (6373,)
    with pytest.raises(MediaError, match="silent"):
        describe(quiet, ENCODER, -59.9)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_wav_that_holds_no_numbers_is_no_observation(tmp_path: Path, value: float) -> None:
    damaged = hum(1.0)
    damaged[500:510] = value
    soundfile.write(tmp_path / "damaged.wav", damaged, 16000, subtype="FLOAT")
    [(_, samples)] = read_audio(tmp_path / "damaged.wav", 16000)
    with pytest.raises(MediaError, match="sound holds values that are no finite numbers"):
        describe(samples, ENCODER, SILENCE_DBFS)


def test_a_vector_that_is_not_finite_is_no_observation(monkeypatch: pytest.MonkeyPatch) -> None:
    vector = np.array([1.0, np.inf], np.float32)
    monkeypatch.setattr(type(ENCODER), "embed", lambda self, samples: vector)
    with pytest.raises(MediaError, match="the encoder gives numbers that are not finite"):
        describe(hum(1.0), ENCODER, SILENCE_DBFS)


def test_no_sound_at_all_is_no_observation() -> None:
    with pytest.raises(MediaError, match="silent"):
        describe(np.empty(0, np.float32), ENCODER, SILENCE_DBFS)


def test_reasons_stand_beside_the_zeros(demo_root: Path, demo_media: dict[str, Medium]) -> None:
    clips = [audio_clip(medium) for medium in demo_media.values()]
    result = describe_audio_of_dialogue(clips, demo_root, ENCODER, SILENCE_DBFS)
    reasons = dict(zip(demo_media, result["reason"].tolist(), strict=True))
    assert sorted(reason.split(":")[0] for reason in reasons.values() if reason) == [
        "cannot be opened", "clip missing", "no sound track", "silent",
    ]  # fmt: skip
    assert not result["features"][result["reason"] != ""].any()
    assert (result["features"][result["reason"] == ""] != 0).any(axis=1).all()


def test_files_that_lie_cost_their_neighbours_no_vector(
    demo_root: Path, sound_clip: Medium, tmp_path: Path
) -> None:
    clip = audio_clip(sound_clip)
    liars = [replace(clip, path=str(path)) for path in write_liars(tmp_path).values()]
    result = describe_audio_of_dialogue([clip, *liars, clip], demo_root, ENCODER, SILENCE_DBFS)
    assert (result["reason"] == "").tolist() == [True, False, False, False, False, True]
    alone = describe_audio_of_dialogue([clip], demo_root, ENCODER, SILENCE_DBFS)["features"][0]
    np.testing.assert_array_equal(result["features"][[0, -1]], [alone, alone])
