"""Trained models as a folder.

model/model.json                    how it was trained and on what (ModelCard)
model/standardisation.safetensors   <modality>.mean, <modality>.scale: float64 [D]; <modality>.limit: [1]
model/seed_<seed>.safetensors       the weights of each training run
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from pydantic import Field, NonNegativeInt, ValidationError, model_validator
from safetensors.torch import save_file
from torch import Tensor

from pipeline.errors import UserError
from pipeline.features.standardisation import Standardisation
from pipeline.params import ModelParams, Section
from pipeline.store.atomic import replace_folder
from pipeline.store.keys import file_digest
from train.networks import build_network
from train.tensors import read_tensors

CARD = "model.json"
STANDARDISATION = "standardisation.safetensors"
LARGEST_CARD_BYTES = 16 << 20


class Selected(Section):
    """The epoch whose weights a seed's training run kept."""

    epoch: int
    """From 1."""
    dev_weighted_f1: float
    """From 0 to 1."""
    best_test_epoch: int | None = None
    """The epoch that the authors' rule would have picked, by looking at the test split; from 1.
    None if the test split had no labels or could not be predicted, or after training on train and dev."""
    best_test_weighted_f1: float | None = None
    """On the test split at that epoch, from 0 to 1."""


class ModelCard(Section):
    """Content of model.json."""

    schema_version: Literal[3] = 3
    corpus: str
    label_names: Annotated[tuple[str, ...], Field(strict=False)]
    class_counts: Annotated[tuple[NonNegativeInt, ...], Field(strict=False)]
    """Labelled utterances of the training split by class, in the order of the label names."""
    dims: dict[str, Annotated[int, Field(ge=1, le=1_000_000)]]
    """Width of the features of each modality."""
    params: ModelParams
    """With all that has a default, and the modalities that the network sees."""
    selected: dict[int, Selected]
    """By seed."""
    item_keys: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Under which the item store keeps the seeds, in their order."""
    features_sha256: str
    """Content digest of the feature file that the model was trained on."""
    encoders: dict[str, str]
    """What made those features, in words, as the feature file's provenance has it."""
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """What defines those features, by modality, as the feature file's provenance has it: the params of
    extraction, those of the detection of faces, and digests of the encoders' weights."""
    digests: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of each other file of the folder, by name, as they were saved."""

    @model_validator(mode="after")
    def _dims_of_the_modalities(self) -> Self:
        if set(self.dims) != set(self.params.modalities or ()):
            raise ValueError(
                f"dims of {', '.join(self.dims)} for modalities {', '.join(self.params.modalities or ())}"
            )
        return self

    @model_validator(mode="after")
    def _digests_of_weights(self) -> Self:
        for name, settings in self.settings.items():
            weights = settings.get("weights", {})
            if not isinstance(weights, dict) or {*map(type, weights.values())} - {str}:
                raise ValueError(f"settings.{name}.weights is no mapping of names to digests")
        return self

    @model_validator(mode="after")
    def _a_count_for_each_class(self) -> Self:
        if len(set(self.label_names)) != len(self.label_names) or not all(self.label_names):
            raise ValueError("label_names must be different names")
        if len(self.class_counts) != len(self.label_names):
            raise ValueError(f"{len(self.class_counts)} class_counts for {len(self.label_names)} label_names")
        return self


@dataclass(frozen=True)
class TrainedModel:
    """One network per seed, and all that is needed to use them."""

    card: ModelCard
    standardisation: Standardisation
    weights: dict[int, dict[str, Tensor]]
    """State dict of each seed, on the CPU."""

    def network(self, seed: int) -> Any:
        """The network of one seed, ready for inference, on the CPU."""
        network = build_network(self.card.params.network, self.card.dims, self.card.class_counts)
        network.load_state_dict(self.weights[seed])
        return network.eval()


def save_model(folder: Path, model: TrainedModel) -> None:
    """Write the folder, which takes the place of an older one whole."""
    with replace_folder(folder) as new:
        scaling = model.standardisation
        statistics = {
            f"{name}.{kind}": torch.from_numpy(np.atleast_1d(values[name]))
            for kind, values in (("mean", scaling.mean), ("scale", scaling.scale), ("limit", scaling.limit))
            for name in values
        }
        save_file(statistics, new / STANDARDISATION)
        for seed, weights in model.weights.items():
            save_file(weights, new / _weights_file(seed))
        digests = {path.name: file_digest(path) for path in sorted(new.iterdir())}
        card = model.card.model_copy(update={"digests": digests})
        (new / CARD).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")


def load_model(folder: Path) -> TrainedModel:
    """Read a folder of ``save_model``; UserError naming the file and what is wrong with it."""
    card = _read_card(folder / CARD)
    path = folder / STANDARDISATION
    kinds = {"mean": card.dims, "scale": card.dims, "limit": dict.fromkeys(card.dims, 1)}
    expected = {
        f"{name}.{kind}": torch.empty(size, dtype=torch.float64, device="meta")
        for kind, sizes in kinds.items()
        for name, size in sizes.items()
    }
    limits = [f"{name}.limit" for name in card.dims]
    statistics = read_tensors(path, expected, card.digests.get(path.name), may_be_infinite=limits)
    # A feature that is constant in training has the scale 0.
    for name in card.dims:
        if (statistics[f"{name}.scale"] < 0).any() or not statistics[f"{name}.limit"] > 0:
            raise UserError(f"{path}: {name}.scale or {name}.limit is negative; train the model again")
    standardisation = Standardisation(
        mean={name: statistics[f"{name}.mean"].numpy() for name in card.dims},
        scale={name: statistics[f"{name}.scale"].numpy() for name in card.dims},
        limit={name: float(statistics[f"{name}.limit"]) for name in card.dims},
    )
    expected = _expected_weights(card, folder / CARD)
    paths = {seed: folder / _weights_file(seed) for seed in card.selected}
    weights = {
        seed: read_tensors(each, expected, card.digests.get(each.name)) for seed, each in paths.items()
    }
    return TrainedModel(card, standardisation, weights)


def _read_card(path: Path) -> ModelCard:
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; name the folder of a model that dvc repro made or dvc pull fetched"
        )
    if path.stat().st_size > LARGEST_CARD_BYTES:
        raise UserError(f"{path}: too large to say how a model was trained; name the folder of a model")
    try:
        card = ModelCard.model_validate_json(path.read_bytes())
    except ValidationError as error:
        mistakes = [f"{'.'.join(map(str, m['loc']))}: {m['msg']}" for m in error.errors(include_url=False)]
        more = f"; and {len(mistakes) - 5} more" if len(mistakes) > 5 else ""
        raise UserError(
            f"{path}: not a model of this version: {'; '.join(mistakes[:5])}{more}; train it again"
        ) from None
    if not card.selected:
        raise UserError(f"{path}: names no seed; train the model again")
    return card


def _expected_weights(card: ModelCard, path: Path) -> dict[str, Tensor]:
    """Shapes and types of the network's weights, without memory; UserError if there is no such network."""
    try:
        with torch.device("meta"):
            network = build_network(card.params.network, card.dims, card.class_counts)
    except (UserError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: there is no such network ({reason}); train the model again") from None
    expected: dict[str, Tensor] = network.state_dict()
    return expected


def _weights_file(seed: int) -> str:
    return f"seed_{seed}.safetensors"
