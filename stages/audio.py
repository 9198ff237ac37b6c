"""Clips -> one openSMILE vector per utterance, of mono sound at 16 kHz [3.3.2].

Writes audio.h5: features float32 [N, D], in openSMILE's order, and their names, feature_name [D];
D is 6373 for the functionals of ComParE_2016.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import opensmile

from pipeline import runtime
from pipeline.manifest import Medium, by_dialogue, read_media
from pipeline.media.clips import iterate_audio
from pipeline.media.decoding import MediaError
from pipeline.params import AudioParams, read_params
from pipeline.store.h5 import Arrays
from pipeline.work.stagefile import ExtractionStage, no_vectors, run_extraction, write_unused

# Nothing as long as this was ever seen to be too short.
SHORTEST_S = 0.2
# openSMILE works on 16 bits, and what lies above the largest of them would wrap around to the smallest.
LARGEST = 1 - 2.0**-15

LEVELS = {
    "functionals": opensmile.FeatureLevel.Functionals,
    "lld_mean_std": opensmile.FeatureLevel.LowLevelDescriptors,
}


def main(corpus: str) -> None:
    """Write ``data/<corpus>/audio.h5``."""
    params = read_params().corpus(corpus)
    if "audio" not in params.modalities:
        return write_unused("audio", corpus)
    media = read_media(Path("data", corpus, "media.csv"))
    names = feature_names(params.audio)
    stage = ExtractionStage(
        name="audio",
        modality="audio",
        function=partial(describe_audio_of_dialogue, root=params.folder, params=params.audio),
        inputs=lambda dialogue, clips: [clip.audio_key for clip in clips],
        settings=params.audio.model_dump(mode="json"),
        libraries=("opensmile", "av", "numpy"),
        empty=no_vectors(len(names)),
        about={"encoder": f"openSMILE {params.audio.feature_set} {params.audio.level}"},
        workers=runtime.workers(),
        extra={"feature_name": np.array(names)},
    )
    run_extraction(
        corpus, stage, by_dialogue(media), [clip.id for clip in media], params.max_unobserved.audio
    )


def describe_audio_of_dialogue(clips: Sequence[Medium], root: Path, params: AudioParams) -> Arrays:
    """Features and reasons of all clips of a dialogue."""
    features = np.zeros((len(clips), len(feature_names(params))), np.float32)
    reasons = [""] * len(clips)
    for place, samples in iterate_audio(clips, root, params.sample_rate_hz):
        try:
            if isinstance(samples, MediaError):
                raise samples
            features[place] = describe_audio(samples, params)
        except MediaError as error:
            reasons[place] = str(error)
    return {"features": features, "reason": np.array(reasons)}


def describe_audio(samples: np.ndarray, params: AudioParams) -> np.ndarray:
    """One vector, float32 [D], of mono samples; what goes beyond [-1, 1] is clipped.

    Functionals equal ``opensmile.Smile.process_file`` of a mono wav file at 16 kHz to the last bit.
    A vector has no room for the series that low-level descriptors are, so their mean and standard
    deviation over time stand for them.

    Raises MediaError for sound that openSMILE cannot describe: silent, too short, or no numbers.
    """
    if not np.isfinite(samples).all():  # a wav of floats can hold NaN, which openSMILE takes for a sound
        raise MediaError("sound holds values that are no finite numbers")
    loudest = float(np.abs(samples).max(initial=0.0))
    if loudest < 10 ** (params.silence_dbfs / 20):
        raise MediaError("silent")
    smile = _load_smile(params)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Segment too short")  # it becomes the reason
        # As an array: as the table of process_signal it costs 3 % more.
        (series,) = smile(np.clip(samples, -1, LARGEST), params.sample_rate_hz)
    if not np.isfinite(series).all():
        # openSMILE fills with NaN where the sound is shorter than its longest window.
        duration_s = len(samples) / params.sample_rate_hz
        if duration_s < SHORTEST_S:
            raise MediaError(f"too short for openSMILE ({duration_s:.2f} s)")
        name = smile.feature_names[int(np.argmin(np.isfinite(series).all(axis=1)))]
        raise MediaError(f"openSMILE gives a value that is not finite ({name})")
    if params.level == "functionals":
        return series[:, 0]
    moments = series.mean(axis=1, dtype=np.float64), series.std(axis=1, dtype=np.float64)
    return np.concatenate(moments).astype(np.float32)


def feature_names(params: AudioParams) -> list[str]:
    """Names of the D features, openSMILE's own."""
    names = _load_smile(params).feature_names
    if params.level == "functionals":
        return names
    return [f"{name}_{moment}" for moment in ("mean", "std") for name in names]


@cache
def _load_smile(params: AudioParams) -> opensmile.Smile:
    """One openSMILE per process and setting."""
    return opensmile.Smile(opensmile.FeatureSet[params.feature_set], LEVELS[params.level])
