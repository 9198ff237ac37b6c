"""Sound by openSMILE [3.3.2]: 6373 functionals for the paper's ComParE_2016."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

from pipeline.encoders.audio import SAMPLE_RATE_HZ
from pipeline.media.decoding import MediaError
from pipeline.params import Section

# Nothing as long as this was ever seen to be too short.
SHORTEST_S = 0.2
# openSMILE works on 16 bits, and what lies above the largest of them would wrap around to the smallest.
LARGEST = 1 - 2.0**-15


class Params(Section):
    """A feature set of openSMILE, and what stands for it over time."""

    kind: Literal["opensmile"] = "opensmile"
    feature_set: Literal[
        "ComParE_2016", "eGeMAPSv02", "GeMAPSv01b", "IS09", "IS10", "IS11", "IS12", "IS13", "emobase"
    ] = "ComParE_2016"
    """ComParE_2016 has 6373 functionals, eGeMAPSv02 88, GeMAPSv01b 62; those of the Interspeech challenges
    384 (IS09), 1582 (IS10, which SDT, MMGCN and others use), 4368, 6125 and 6373; emobase 988."""
    level: Literal["functionals", "lld_mean_std"] = "functionals"
    """``functionals``: openSMILE's statistics over the utterance (the paper); ``lld_mean_std``: mean and
    standard deviation over time of each low-level descriptor, 130 values for ComParE_2016."""


@dataclass(frozen=True)
class Encoder:
    """openSMILE with one setting."""

    params: Params
    feature_names: tuple[str, ...]
    """Of the D features, openSMILE's own."""

    libraries = ("opensmile",)

    @property
    def dimension(self) -> int:
        """D, of its vectors."""
        return len(self.feature_names)

    @property
    def description(self) -> str:
        """In plain words."""
        return f"openSMILE {self.params.feature_set} {self.params.level}"

    @property
    def settings(self) -> dict[str, object]:
        """What defines its vectors."""
        return {"encoder": self.params.model_dump(mode="json")}

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """Vector float32 [D] of mono samples; what goes beyond [-1, 1] is clipped.

        Functionals equal ``opensmile.Smile.process_file`` of a mono wav file at 16 kHz to the last bit.
        A vector has no room for the series that low-level descriptors are, so their mean and standard
        deviation over time stand for them.  Raises MediaError for sound that is too short.
        """
        smile = _load_smile(self.params)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Segment too short")  # it becomes the reason
            # As an array: as the table of process_signal it costs 3 % more.
            (series,) = smile(np.clip(samples, -1, LARGEST), SAMPLE_RATE_HZ)
        if not np.isfinite(series).all():
            # openSMILE fills with NaN where the sound is shorter than its longest window.
            duration_s = len(samples) / SAMPLE_RATE_HZ
            if duration_s < SHORTEST_S:
                raise MediaError(f"too short for openSMILE ({duration_s:.2f} s)")
            name = smile.feature_names[int(np.argmin(np.isfinite(series).all(axis=1)))]
            raise MediaError(f"openSMILE gives a value that is not finite ({name})")
        if self.params.level == "functionals":
            return series[:, 0]
        moments = series.mean(axis=1, dtype=np.float64), series.std(axis=1, dtype=np.float64)
        return np.concatenate(moments).astype(np.float32)


def find_encoder(key: str, params: Params, weights: None = None) -> Encoder:
    """The encoder that the params name; it has no weights."""
    names = _load_smile(params).feature_names
    if params.level == "lld_mean_std":
        names = [f"{name}_{moment}" for moment in ("mean", "std") for name in names]
    return Encoder(params, tuple(names))


@cache
def _load_smile(params: Params) -> Any:
    """One openSMILE per process and setting."""
    import opensmile

    levels = {
        "functionals": opensmile.FeatureLevel.Functionals,
        "lld_mean_std": opensmile.FeatureLevel.LowLevelDescriptors,
    }
    return opensmile.Smile(opensmile.FeatureSet[params.feature_set], levels[params.level])
