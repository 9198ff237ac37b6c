"""Clips -> one openSMILE vector per utterance: functionals of mono sound at 16 kHz [3.3.2].

Writes audio.h5: features float32 [N, 6373] for ComParE_2016, in openSMILE's order, with their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import opensmile

from pipeline import runtime
from pipeline.clips import iterate_sounds
from pipeline.h5 import Arrays
from pipeline.manifest import Medium, by_dialogue, read_media
from pipeline.media import MediaError
from pipeline.params import AudioParams, read_params
from pipeline.stagefile import ExtractionStage, no_vectors, run_extraction, write_unused

# Nothing as long as this was ever seen to be too short.
SHORTEST_S = 0.2


def main(corpus: str) -> None:
    """Write ``data/<corpus>/audio.h5``."""
    params = read_params().corpus(corpus)
    if "audio" not in params.modalities:
        return write_unused("audio", corpus)
    media = read_media(Path("data", corpus, "media.csv"))
    names = _load_smile(params.audio).feature_names
    stage = ExtractionStage(
        name="audio",
        modality="audio",
        function=partial(describe_sound_of_dialogue, root=params.folder, params=params.audio),
        inputs=lambda dialogue, clips: [clip.sound_key for clip in clips],
        settings=params.audio.model_dump(mode="json"),
        libraries=("opensmile", "av", "numpy"),
        empty=no_vectors(len(names)),
        about={"encoder": f"openSMILE {params.audio.feature_set} functionals"},
        workers=runtime.workers(),
        extra={"feature_name": np.array(names)},
    )
    run_extraction(
        corpus, stage, by_dialogue(media), [clip.id for clip in media], params.max_unobserved.audio
    )


def describe_sound_of_dialogue(clips: Sequence[Medium], root: Path, params: AudioParams) -> Arrays:
    """Features and reasons of all clips of a dialogue."""
    features = np.zeros((len(clips), len(_load_smile(params).feature_names)), np.float32)
    reasons = [""] * len(clips)
    for place, samples in iterate_sounds(clips, root, params.sample_rate_hz):
        try:
            if isinstance(samples, MediaError):
                raise samples
            features[place] = describe_sound(samples, params)
        except MediaError as error:
            reasons[place] = str(error)
    return {"features": features, "reason": np.array(reasons)}


def describe_sound(samples: np.ndarray, params: AudioParams) -> np.ndarray:
    """openSMILE's functionals, float32 [D], of mono samples in [-1, 1].

    Raises MediaError for sound that openSMILE cannot describe: silent, or too short.
    """
    loudest = float(np.abs(samples).max(initial=0.0))
    if loudest < 10 ** (params.silence_dbfs / 20):
        raise MediaError("silent")
    features = _load_smile(params).process_signal(samples, params.sample_rate_hz).to_numpy(np.float32)[0]
    if not np.isfinite(features).all():
        # openSMILE fills with NaN where the sound is shorter than its longest window.
        duration_s = len(samples) / params.sample_rate_hz
        if duration_s < SHORTEST_S:
            raise MediaError(f"too short for openSMILE ({duration_s:.2f} s)")
        name = _load_smile(params).feature_names[int(np.argmin(np.isfinite(features)))]
        raise MediaError(f"openSMILE gives a value that is not finite ({name})")
    return features


@cache
def _load_smile(params: AudioParams) -> opensmile.Smile:
    """One openSMILE per process and setting."""
    return opensmile.Smile(
        feature_set=opensmile.FeatureSet[params.feature_set], feature_level=opensmile.FeatureLevel.Functionals
    )
