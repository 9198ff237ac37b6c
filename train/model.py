"""Trained models as a folder.

model/model.json                    how it was trained and on what (ModelCard)
model/standardisation.safetensors   <modality>.mean, <modality>.scale: float64 [D]; <modality>.limit: [1]
model/seed_<seed>.safetensors       the weights of each training run
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from pydantic import Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.errors import UserError
from pipeline.features.file import Features
from pipeline.params import ModelParams, Section
from pipeline.store.atomic import replace_folder
from train.data import Standardisation
from train.networks import build_network

CARD = "model.json"
STANDARDISATION = "standardisation.safetensors"


class Selected(Section):
    """The epoch whose weights a seed's training run kept."""

    epoch: int
    """From 1."""
    dev_weighted_f1: float
    """From 0 to 1."""
    best_test_epoch: int | None = None
    """The epoch that the authors' rule would have picked, by looking at the test split; from 1.
    None if the test split had no labels."""
    best_test_weighted_f1: float | None = None
    """On the test split at that epoch, from 0 to 1."""


class ModelCard(Section):
    """Content of model.json."""

    schema_version: Literal[3] = 3
    corpus: str
    label_names: Annotated[tuple[str, ...], Field(strict=False)]
    class_counts: Annotated[tuple[int, ...], Field(strict=False)]
    """Labelled utterances of the training split by class, in the order of the label names."""
    dims: dict[str, int]
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
    extraction and digests of the encoders' weights."""

    @model_validator(mode="after")
    def _dims_of_the_modalities(self) -> Self:
        if set(self.dims) != set(self.params.modalities or ()):
            raise ValueError(
                f"dims of {', '.join(self.dims)} for modalities {', '.join(self.params.modalities or ())}"
            )
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

    def check_fits(self, features: Features, origin: Path) -> None:
        """UserError, naming what differs, if this model cannot read these features (of file ``origin``)."""
        differences = []
        for name, dim in self.card.dims.items():
            if name not in features.modalities:
                differences.append(f"the file has no {name}")
            elif (found := features.modalities[name].features.shape[1]) != dim:
                differences.append(f"{name} has {found} dimensions instead of {dim}")
        if features.label_names != self.card.label_names:
            theirs, ours = ", ".join(features.label_names), ", ".join(self.card.label_names)
            differences.append(f"the labels are {theirs} instead of {ours}")
        if differences:
            raise UserError(
                f"{origin}: the model of corpus {self.card.corpus} cannot read it: {'; '.join(differences)}; "
                "train a model on this file"
            )


def save_model(folder: Path, model: TrainedModel) -> None:
    """Write the folder, which takes the place of an older one whole."""
    with replace_folder(folder) as new:
        (new / CARD).write_text(model.card.model_dump_json(indent=2) + "\n", encoding="utf-8")
        scaling = model.standardisation
        statistics = {
            f"{name}.{kind}": torch.from_numpy(np.atleast_1d(values[name]))
            for kind, values in (("mean", scaling.mean), ("scale", scaling.scale), ("limit", scaling.limit))
            for name in values
        }
        save_file(statistics, new / STANDARDISATION)
        for seed, weights in model.weights.items():
            save_file(weights, new / _weights_file(seed))


def load_model(folder: Path) -> TrainedModel:
    """Read a folder of ``save_model``; UserError naming the file and what is wrong with it."""
    path = folder / CARD
    try:
        card = ModelCard.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{path}: no such file; name the folder of a model that dvc repro made or dvc pull fetched"
        ) from None
    except ValidationError as error:
        mistakes = "; ".join(f"{'.'.join(map(str, m['loc']))}: {m['msg']}" for m in error.errors())
        raise UserError(f"{path}: not a model of this version: {mistakes}; train it again") from None
    statistics = _read_tensors(folder / STANDARDISATION, {
        f"{name}.{kind}": (1 if kind == "limit" else dim,)
        for name, dim in card.dims.items()
        for kind in ("mean", "scale", "limit")
    })  # fmt: skip
    standardisation = Standardisation(
        mean={name: statistics[f"{name}.mean"].numpy() for name in card.dims},
        scale={name: statistics[f"{name}.scale"].numpy() for name in card.dims},
        limit={name: float(statistics[f"{name}.limit"]) for name in card.dims},
    )
    with torch.device("meta"):  # shapes without memory
        expected = build_network(card.params.network, card.dims, card.class_counts).state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    weights = {seed: _read_tensors(folder / _weights_file(seed), shapes) for seed in card.selected}
    return TrainedModel(card, standardisation, weights)


def _weights_file(seed: int) -> str:
    return f"seed_{seed}.safetensors"


def _read_tensors(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The tensors of a file, which must be exactly those named; UserError naming what differs."""
    try:
        tensors = load_file(path)
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file, though {CARD} names it; fetch or train the model again"
        ) from None
    except SafetensorError as error:
        raise UserError(f"{path}: damaged ({error}); fetch or train the model again") from None
    problems = [f"lacks {name}" for name in shapes if name not in tensors]
    problems += [f"has a foreign {name}" for name in tensors if name not in shapes]
    problems += [
        f"{name} is {tuple(tensor.shape)} instead of {shapes[name]}"
        for name, tensor in tensors.items()
        if name in shapes and tuple(tensor.shape) != shapes[name]
    ]
    if problems:
        shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise UserError(f"{path}: does not fit {CARD}: {shown}; train the model again")
    return tensors
