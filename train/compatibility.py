"""Whether features mean to a model what its training features meant: were they made the same way?

Equal widths are not enough, since another encoder gives other numbers of the same width; nor are
equal words, since two fine-tuned encoders may be described alike.  Their weights' digests tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.features.content import Features
from pipeline.params import flatten
from train.model import ModelCard

UNKNOWN = "an unknown encoder"
NOT_SET = "not set"


def extraction_settings(features: Features, modality: str) -> dict[str, Any]:
    """What defines a modality's features, by their provenance; below ``faces``, how faces were found."""
    source = features.provenance.get("sources", {}).get(modality, {})
    faces = source.get("faces", {}).get("settings")
    return {**source.get("settings", {}), **({"faces": faces} if faces else {})}


def check_same_encoders(features: Features, origin: Path, card: ModelCard) -> list[str]:
    """Differences that leave the features usable, in words.

    UserError, naming what differs, if the features (of file ``origin``) are of other widths or were
    made by other encoders than those that the model was trained on.
    """
    refused, noted = [], []
    for name, dimension in card.dims.items():
        found = features.modalities[name].features.shape[1]
        theirs = features.provenance.get("encoders", {}).get(name, UNKNOWN)
        ours = card.encoders.get(name, UNKNOWN)
        made = extraction_settings(features, name)
        trained = card.settings.get(name, {})
        if found != dimension:
            refused.append(
                f"{name} has {found} dimensions instead of {dimension}: made by {theirs}, not {ours}"
            )
        elif not _same_encoder(theirs, ours, made, trained):
            weights = ", with other weights" if theirs == ours else ""
            refused.append(f"{name} was made by {theirs}{weights}, and the model knows {ours}")
        else:
            if UNKNOWN in (theirs, ours) and not (_weights(made) and _weights(trained)):
                noted.append(f"{name}: nothing says which encoder made it; only the widths are the same")
            if made and trained:  # where one is empty, nothing is known of it
                noted += [f"{name}: {difference}" for difference in _differences(made, trained)]
    if refused:
        raise UserError(
            f"{origin}: the model of corpus {card.corpus} was trained on features of other encoders:"
            f" {'; '.join(refused)}; extract with the model's encoders, or train a model on this file"
        )
    return noted


def _same_encoder(theirs: str, ours: str, made: Mapping[str, Any], trained: Mapping[str, Any]) -> bool:
    if made.get("reduction") != trained.get("reduction"):  # by PCA of other data
        return False
    found, known = _weights(made), _weights(trained)
    if found and known:
        return found == known
    return theirs == ours


def _weights(settings: Mapping[str, Any]) -> dict[str, str]:
    """Digests of what holds an encoder's weights, or how untrained ones were made; by file name.

    Not of its other files, which differ with the version of the library that wrote them.
    """
    weights = settings.get("weights", {})
    tensors = {name: digest for name, digest in weights.items() if name.endswith(".safetensors")}
    return tensors or dict(weights)


def _differences(made: Mapping[str, Any], trained: Mapping[str, Any]) -> Iterator[str]:
    """Settings other than weights that are not the same; one at its default may not be there."""
    theirs, ours = flatten(made), flatten(trained)
    for key in dict.fromkeys([*theirs, *ours]):
        value, known = theirs.get(key, NOT_SET), ours.get(key, NOT_SET)
        if value != known and not key.startswith("weights."):
            yield f"{key} is {value}, and was {known} for the model's training"
