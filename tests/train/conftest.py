"""Small feature files, written and read back, whose labels can be learnt from the features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.features.content import Features, ModalityFeatures
from pipeline.features.file import read_features, write_features
from pipeline.params import MODALITIES, Kind, ModelParams
from tests.train.small import NETWORK

LABELS = ("neutral", "joy", "anger")
DIMS = {"text": 12, "audio": 20, "visual": 16}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small_params() -> ModelParams:
    """A model small enough for a test, without dropout."""
    network = Kind.model_validate(NETWORK)
    return ModelParams(
        features="features.h5", modalities=MODALITIES, network=network, epochs=2, batch_dialogues=4
    )


@pytest.fixture
def make_features(tmp_path) -> Callable[..., Features]:
    """Dialogues of 1 to 7 utterances and 1 to 4 speakers; each modality lacks about a tenth."""

    def make(train: int = 12, dev: int = 4, test: int = 4, noise: float = 0.5, seed: int = 0) -> Features:
        random = np.random.default_rng(seed)
        rows = [
            (split, f"{split}_dia{number}", position, f"S{random.integers(4)}")
            for split, count in (("train", train), ("dev", dev), ("test", test))
            for number in range(count)
            for position in range(int(random.integers(1, 8)))
        ]
        split, dialogue, position, speaker = (np.array(column) for column in zip(*rows, strict=True))
        label = random.integers(len(LABELS), size=len(rows))
        modalities = {}
        for name, dim in DIMS.items():
            centres = random.normal(size=(len(LABELS), dim))
            observed = random.random(len(rows)) > 0.1
            values = centres[label] + noise * random.normal(size=(len(rows), dim))
            modalities[name] = ModalityFeatures(
                features=np.where(observed[:, None], values, 0).astype(np.float32),
                observed=observed,
                reason=np.where(observed, "", "no sound"),
            )
        features = Features(
            corpus="small",
            label_names=LABELS,
            id=np.array([f"{d}_utt{p}" for d, p in zip(dialogue, position, strict=True)]),
            split=split,
            dialogue=dialogue,
            position=position.astype(np.int64),
            speaker=speaker,
            label=label.astype(np.int64),
            text=np.array(["words"] * len(rows)),
            start_s=np.full(len(rows), np.nan),
            end_s=np.full(len(rows), np.nan),
            modalities=modalities,
            provenance={"encoders": {"text": "RoBERTa", "visual": "UNTRAINED ResNet-101, seed 0"}},
        )
        write_features(tmp_path / "features.h5", features)
        return read_features(tmp_path / "features.h5")

    return make


@pytest.fixture
def without_labels() -> Callable[[Features, str], Features]:
    """The same features with one split unlabelled."""

    def remove(features: Features, split: str) -> Features:
        return replace(features, label=np.where(features.split == split, -1, features.label))

    return remove
