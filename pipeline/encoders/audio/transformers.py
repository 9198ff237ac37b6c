"""Sound by a speech model of transformers: WavLM, HuBERT, wav2vec 2.0, data2vec, or Whisper's encoder."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline import runtime
from pipeline.encoders.audio import SAMPLE_RATE_HZ
from pipeline.encoders.layers import check_layers, hidden_states
from pipeline.encoders.weights import Weights
from pipeline.errors import UserError
from pipeline.media.decoding import MediaError
from pipeline.params import LAST, Layers, WeightsParams

FAMILIES = {
    "wavlm": "WavLM",
    "hubert": "HuBERT",
    "wav2vec2": "wav2vec 2.0",
    "data2vec-audio": "data2vec",
    "whisper": "Whisper's encoder",
}
WHISPER = "whisper"
# Longer sound is cut: attention's memory grows with the square of the duration.
LONGEST_PIECE_S = 20.0
# Pieces of one length that share a pass on a GPU.
MOST_TOGETHER = 8


class Params(WeightsParams):
    """A speech model, which of its layers give the feature, and what stands for them over time."""

    kind: Literal["transformers"] = "transformers"
    layers: Layers = (-4, -3, -2, -1)
    """Whose mean is taken, frame by frame: numbers of layers, from 1, or from the end as -1; or ``last``,
    what the network gives in the end.  The last four are MERBench's choice, which adds them up."""
    pooling: Literal["mean", "mean_std"] = "mean"
    """Over time: the mean of each value, or also its standard deviation, twice as many features."""


@dataclass(frozen=True)
class Encoder:
    """A speech model, not loaded."""

    key: str
    """The section of params.yaml, for errors."""
    path: Path
    """Its folder."""
    params: Params
    dimension: int
    """D, of its vectors."""
    description: str
    """In plain words."""
    digest: tuple[tuple[str, str], ...]
    """Name and SHA-256 of the folder's files."""

    libraries = ("torch", "transformers")
    feature_names = ()

    @property
    def settings(self) -> dict[str, object]:
        """What defines its vectors; weights count by their content, wherever they lie."""
        origin = {"weights", "revision", "sha256"}
        return {"encoder": self.params.model_dump(mode="json", exclude=origin), "weights": dict(self.digest)}

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """Vector float32 [D] of mono samples.

        Sound over 20 s (30 s for Whisper) is cut into the fewest pieces of equal length, and every frame
        counts alike.  Nothing is filled up with zeros but what Whisper wants as 30 s, of which only the
        frames of the sound count.  Raises MediaError for sound shorter than a frame.
        """
        import torch

        model = _load_model(self.key, self.path)
        frames, total, squares = 0, torch.zeros(()), torch.zeros(())
        with torch.inference_mode():
            for values, counts in model.passes(samples):
                states = hidden_states(model.network, self.params.layers, **{model.input_name: values})
                for state, count in zip(states.double().cpu(), counts, strict=True):
                    frames += count
                    total = total + state[:count].sum(dim=0)
                    squares = squares + state[:count].square().sum(dim=0)
        mean = total / frames
        if self.params.pooling == "mean":
            return mean.float().numpy()
        spread = (squares / frames - mean.square()).clamp(min=0).sqrt()
        return torch.cat([mean, spread]).float().numpy()


@dataclass(frozen=True)
class _Model:
    """A loaded network with what goes before it."""

    family: str
    processor: Any
    network: Any

    @property
    def input_name(self) -> str:
        return "input_features" if self.family == WHISPER else "input_values"

    def passes(self, samples: np.ndarray) -> Iterator[tuple[Any, list[int]]]:
        """(input of one pass of the network, how many frames of each of its pieces count)."""
        import torch

        device = self.network.device
        for batch in self._batches(self._pieces(samples)):
            yield torch.cat([values for values, _ in batch]).to(device), [count for _, count in batch]

    def _pieces(self, samples: np.ndarray) -> list[tuple[Any, int]]:
        """(input [1, ...], number of its frames that count) of each piece."""
        if self.family == WHISPER:
            longest, frame = self.processor.n_samples, 2 * self.processor.hop_length
            return [
                (self._process(piece).input_features, math.ceil(len(piece) / frame))
                for piece in _cut(samples, longest)
            ]
        count = self.network._get_feat_extract_output_lengths
        if len(samples) == 0 or count(len(samples)) < 1:
            duration_s = len(samples) / SAMPLE_RATE_HZ
            raise MediaError(f"too short for {FAMILIES[self.family]} ({duration_s:.2f} s)")
        # Brought to one level as a whole, where the model wants that.
        values = self._process(samples).input_values[0]
        longest = round(LONGEST_PIECE_S * SAMPLE_RATE_HZ)
        return [(piece[None], int(count(len(piece)))) for piece in _cut(values, longest)]

    def _process(self, samples: np.ndarray) -> Any:
        return self.processor(samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")

    def _batches(self, pieces: list[tuple[Any, int]]) -> Iterator[list[tuple[Any, int]]]:
        """One piece at a time; on a GPU several of exactly one length, for padding would change results."""
        together = 1 if self.network.device.type == "cpu" else MOST_TOGETHER
        for _, alike in groupby(pieces, key=lambda piece: piece[0].shape):
            batch = list(alike)
            yield from (batch[start : start + together] for start in range(0, len(batch), together))


def find_encoder(key: str, params: Params, weights: Weights | None) -> Encoder:
    """The encoder that the params name, checked whole; UserError, naming ``key``, if it cannot be used."""
    from pipeline.encoders.pretrained import require_trained

    found = require_trained(key, weights)
    model = _read_model(key, found.path)
    check_layers(f"{key}.layers", params.layers, model.network)
    width: int = model.network.config.hidden_size
    layers = "the last layer" if params.layers == LAST else f"layers {', '.join(map(str, params.layers))}"
    return Encoder(
        key=key,
        path=found.path,
        params=params,
        dimension=2 * width if params.pooling == "mean_std" else width,
        description=f"{FAMILIES[model.family]} from {params.weights} ({layers}; {params.pooling} over time)",
        digest=tuple(found.digest.items()),
    )


@cache
def _load_model(key: str, path: Path) -> _Model:
    """One network per process, where it computes."""
    model = _read_model(key, path)
    model.network.to(runtime.device())
    return model


def _read_model(key: str, path: Path) -> _Model:
    from transformers import AutoFeatureExtractor, AutoModel

    from pipeline.encoders.pretrained import family_of, load_pretrained, prepare_torch, read_processor

    prepare_torch()
    family = family_of(path, key, FAMILIES, "speech model")
    processor = read_processor(AutoFeatureExtractor, path, key)
    if processor.sampling_rate != SAMPLE_RATE_HZ:
        raise UserError(
            f"{key}: {path} wants sound at {processor.sampling_rate} Hz, and gets {SAMPLE_RATE_HZ}"
        )
    # Without masking, which is for training, a model has no weights of it, which many files lack.
    network = load_pretrained(AutoModel, path, key, mask_time_prob=0.0, mask_feature_prob=0.0)
    if family == WHISPER:
        network = network.get_encoder()
    return _Model(family, processor, network.eval())


def _cut(samples: Any, longest: int) -> Iterator[Any]:
    """The fewest parts of at most ``longest`` samples, equally long to one sample."""
    parts = max(1, math.ceil(len(samples) / longest))
    edges = [len(samples) * part // parts for part in range(parts + 1)]
    return (samples[start:end] for start, end in pairwise(edges))
