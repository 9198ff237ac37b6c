"""Models small enough for a test, and what they are made of."""

from __future__ import annotations

from typing import Any

from pipeline.features.content import Features
from pipeline.features.standardisation import fit_standardisation
from pipeline.params import MODALITIES, Kind, ModelParams
from train.data import Dialogues
from train.multiemo.network import MultiEmo
from train.networks import build_network
from train.networks.multiemo import Params

NETWORK = {
    "kind": "multiemo", "hidden_size": 16, "reduced_sizes": {"audio": 8}, "feedforward_size": 24, "layers": 2,
    "heads": 2, "dropout": 0.0,
}  # fmt: skip


def changed(params: ModelParams, **changes: Any) -> ModelParams:
    """The params with other values: those that a model has, and else its network."""
    own = {key: value for key, value in changes.items() if key in ModelParams.model_fields}
    others = {key: value for key, value in changes.items() if key not in own}
    network = Kind.model_validate(params.network.model_dump() | others)
    return params.model_copy(update={"network": network} | own)


def network_params(params: ModelParams) -> Params:
    """The params of its MultiEMO."""
    return Params.model_validate(params.network.model_dump())


def dialogues_of(features: Features, params: ModelParams) -> Dialogues:
    """The modalities that the model sees, standardised."""
    return Dialogues.from_features(features, fit_standardisation(features, params.modalities or MODALITIES))


def network_of(params: ModelParams, dialogues: Dialogues) -> MultiEmo:
    """A new network for these dialogues."""
    dims = {name: table.shape[1] for name, table in dialogues.features.items()}
    network: MultiEmo = build_network(params.network, dims, dialogues.class_counts)
    return network
