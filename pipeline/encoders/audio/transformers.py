"""Sound by a speech model of transformers: WavLM, HuBERT, wav2vec 2.0, data2vec, or Whisper's encoder."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from pipeline import runtime
from pipeline.encoders.audio import SAMPLE_RATE_HZ
from pipeline.encoders.layers import check_layers, hidden_states
from pipeline.encoders.weights import Weights
from pipeline.errors import UserError
from pipeline.media.decoding import MediaError
from pipeline.params import LAST, Layers, WeightsParams

if TYPE_CHECKING:
    from torch import Tensor

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
# Pieces of one length, of one sound or several, that share a pass on a GPU.
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
        return {"encoder": self.params.defining(), "weights": dict(self.digest)}

    def embed(self, samples: np.ndarray) -> np.ndarray:
        """Vector float32 [D] of mono samples.

        Sound over 20 s (30 s for Whisper) is cut into the fewest pieces of equal length, and every frame
        counts alike.  Nothing is filled up with zeros but what Whisper wants as 30 s, of which only the
        frames of the sound count.  Raises MediaError for sound shorter than a frame.
        """
        [found] = self.embed_together([samples])
        if isinstance(found, MediaError):
            raise found
        return found

    def embed_together(self, sounds: Sequence[np.ndarray]) -> list[np.ndarray | MediaError]:
        """Of each sound its vector, or why it has none; on a GPU pieces of one length share a pass."""
        model = _load_model(self)
        cut: list[list[_Piece] | MediaError] = []
        for samples in sounds:
            try:
                cut.append(model.pieces(samples))
            except MediaError as error:
                cut.append(error)
        pieces = [piece for each in cut if not isinstance(each, MediaError) for piece in each]
        sums = iter(model.sums(pieces, self.params.layers))
        return [
            each if isinstance(each, MediaError) else self._pool([next(sums) for _ in each]) for each in cut
        ]

    def _pool(self, pieces: Sequence[_Sums]) -> np.ndarray:
        """Vector float32 [D] of a sound's pieces."""
        import torch

        frames = sum(piece.frames for piece in pieces)
        mean = sum((piece.states for piece in pieces), torch.zeros(())) / frames
        if self.params.pooling == "mean":
            return mean.float().numpy()
        squares = sum((piece.squares for piece in pieces), torch.zeros(()))
        spread = (squares / frames - mean.square()).clamp(min=0).sqrt()
        return torch.cat([mean, spread]).float().numpy()


class _Piece(NamedTuple):
    """A part of a sound, no longer than the network may read."""

    values: Tensor
    """Input of the network [1, ...]."""
    frames: int
    """How many of its frames count."""


class _Sums(NamedTuple):
    """What the network says of a piece, added up over the frames that count."""

    frames: int
    states: Tensor
    """float64 [width]"""
    squares: Tensor
    """float64 [width]"""


@dataclass(frozen=True)
class _Model:
    """A loaded network with what goes before it."""

    family: str
    processor: Any
    network: Any

    @property
    def input_name(self) -> str:
        return "input_features" if self.family == WHISPER else "input_values"

    def pieces(self, samples: np.ndarray) -> list[_Piece]:
        """The fewest parts of a sound that the network may read; MediaError where it is too short."""
        if self.family == WHISPER:
            longest, frame = self.processor.n_samples, 2 * self.processor.hop_length
            return [
                _Piece(self._process(piece).input_features, math.ceil(len(piece) / frame))
                for piece in _cut(samples, longest)
            ]
        count = self.network._get_feat_extract_output_lengths
        if len(samples) == 0 or count(len(samples)) < 1:
            duration_s = len(samples) / SAMPLE_RATE_HZ
            raise MediaError(f"too short for {FAMILIES[self.family]} ({duration_s:.2f} s)")
        # Brought to one level as a whole, where the model wants that.
        values = self._process(samples).input_values[0]
        longest = round(LONGEST_PIECE_S * SAMPLE_RATE_HZ)
        return [_Piece(piece[None], int(count(len(piece)))) for piece in _cut(values, longest)]

    def sums(self, pieces: Sequence[_Piece], layers: Layers) -> list[_Sums]:
        """What the network says of each piece."""
        import torch

        found: dict[int, _Sums] = {}
        with torch.inference_mode():
            for places in _passes(pieces):
                values = torch.cat([pieces[place].values for place in places]).to(self.network.device)
                states = hidden_states(self.network, layers, **{self.input_name: values})
                for place, state in zip(places, states.double().cpu(), strict=True):
                    counted = state[: pieces[place].frames]
                    found[place] = _Sums(len(counted), counted.sum(dim=0), counted.square().sum(dim=0))
        return [found[place] for place in range(len(pieces))]

    def _process(self, samples: np.ndarray) -> Any:
        return self.processor(samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")


def _passes(pieces: Sequence[_Piece]) -> Iterator[list[int]]:
    """Which pieces go through the network together: of exactly one length, for padding changes results."""
    together = MOST_TOGETHER if runtime.shares_passes() else 1
    alike: dict[Any, list[int]] = {}
    for place, piece in enumerate(pieces):
        alike.setdefault(piece.values.shape, []).append(place)
    for places in alike.values():
        yield from (places[start : start + together] for start in range(0, len(places), together))


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


@lru_cache(maxsize=1)  # by the weights' digest too: a worker of a cluster lives longer than a file does
def _load_model(encoder: Encoder) -> _Model:
    """One network per process, where it computes."""
    model = _read_model(encoder.key, encoder.path)
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
    # An adapter counts frames behind the layers that are listened to.
    if getattr(network.config, "add_adapter", False):
        raise UserError(f"{key}: {path} has an adapter (add_adapter): choose a model without one")
    return _Model(family, processor, network.eval())


def _cut(samples: Any, longest: int) -> Iterator[Any]:
    """The fewest parts of at most ``longest`` samples, equally long to one sample."""
    parts = max(1, math.ceil(len(samples) / longest))
    edges = [len(samples) * part // parts for part in range(parts + 1)]
    return (samples[start:end] for start, end in pairwise(edges))
