"""A small model on disk, and feature files that say how they were made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pipeline.features.content import Features
from pipeline.features.standardisation import fit_standardisation
from pipeline.params import ModelParams
from train.compatibility import extraction_settings
from train.data import count_classes
from train.model import ModelCard, Selected, TrainedModel, save_model
from train.networks import build_network

MODALITIES = ("text", "audio", "visual")
SETTINGS: dict[str, dict[str, Any]] = {
    "text": {"window": {"past_utterances": 12}, "weights": {"config.json": "0", "model.safetensors": "1"}},
    "audio": {"silence_dbfs": -70.0},
    "visual": {"weights": {"untrained": "resnet101, seed 0"}},
}
ENCODERS = {"text": "RoBERTa, fine-tuned on the training split", "audio": "openSMILE", "visual": "ResNet-101"}


def described(
    features: Features,
    encoders: dict[str, str] = ENCODERS,
    settings: dict[str, Any] = SETTINGS,
    frames_per_utterance: int = 20,
) -> Features:
    """The same features with a provenance."""
    sources = {name: {"settings": settings[name]} for name in MODALITIES}
    sources["visual"]["faces"] = {"settings": {"frames_per_utterance": frames_per_utterance}}
    return replace(features, provenance={"encoders": encoders, "sources": sources})


def save_small_model(folder: Path, features: Features, params: ModelParams) -> None:
    """A model of two seeds; what it has learnt does not matter here."""
    features = described(features)
    names = [name for name in MODALITIES if name in (params.modalities or MODALITIES)]
    dims = {name: features.modalities[name].features.shape[1] for name in names}
    card = ModelCard(
        corpus="small",
        class_counts=count_classes(features),
        label_names=features.label_names,
        dims=dims,
        params=params,
        selected={seed: Selected(epoch=1, dev_weighted_f1=0.5) for seed in (0, 1)},
        features_sha256=features.digest,
        encoders={name: ENCODERS[name] for name in names},
        settings={name: extraction_settings(features, name) for name in names},
    )
    standardisation = fit_standardisation(features, names, params.unscaled)
    weights = {}
    for seed in (0, 1):
        torch.manual_seed(seed)
        weights[seed] = build_network(params.network, dims, count_classes(features)).state_dict()
    save_model(folder, TrainedModel(card, standardisation, weights))
