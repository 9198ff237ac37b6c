"""Networks: one module per kind, with its ``Params`` and ``build(params, dims, class_counts)``.

It may have ``RECIPES``: sets of values for an entry of ``models`` by name, the first for an entry which names
none.  What ``build`` returns is a torch module with the two methods of ``Network``: loop, checkpoints, curves
and metrics know no more of it.  Where its class stands in another module, ``build`` and ``Params`` compute
nothing: only that module counts in keys.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.errors import UserError
from pipeline.params import PARAMS_FILE, Kind, KindOf, ModelParams, Section, find_kind, read_kind

if TYPE_CHECKING:
    from torch import Tensor

    from train.data import Batch

KINDS = "train.networks"


class Output(Protocol):
    """What a network says of the n utterances of a batch; beside it, whatever its losses need."""

    @property
    def logits(self) -> Tensor:
        """[n, classes]: before the softmax."""
        ...


class Network(Protocol):
    """What the trainer asks of a network, which is a torch module."""

    def __call__(self, batch: Batch) -> Output:
        """Utterances of a batch, in its order; features of unobserved modalities are zero."""
        ...

    def losses(self, output: Any, label: Tensor) -> dict[str, Tensor]:
        """Loss by name, each a mean over the labelled utterances; ``total`` is what is minimised.

        The mean may be a weighted one, whose weights add up over the batch: then losses over a split depend
        on the size of batches.

        label: int64 [n], UNLABELLED where there is none; one at least has one.
        """
        ...


def find_network(network: Kind, key: str) -> KindOf:
    """The module and params of a network's kind; UserError, naming ``key``, if there is none."""
    return read_kind(KINDS, network, key)


def with_recipe(model: ModelParams, key: str) -> ModelParams:
    """An entry of ``models`` with the values of its recipe, where it has none of its own.

    UserError, naming ``key``, if there is no such network, or it has no such recipe.  Its params are not
    looked at, as what stands in the entry may be sound beside the recipe's values alone.
    """
    module = find_kind(KINDS, model.network.kind, f"{key}.network")
    recipes: dict[str, Any] = getattr(module, "RECIPES", {})
    name = model.recipe or next(iter(recipes), None)
    if name is None:
        return model
    if name not in recipes:
        close = difflib.get_close_matches(name, recipes, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        known = ", ".join(recipes) or "those that it has: none"
        raise UserError(f"{PARAMS_FILE}: {key}.recipe: {name!r} is none of {known}{hint}")
    given = model.model_dump(mode="json", exclude_unset=True) | {"recipe": name}
    network = recipes[name].get("network", {}) | {"kind": model.network.kind}
    given["network"] = _override(network, given.get("network", {}), module.Params)
    return ModelParams.model_validate(recipes[name] | given)


def _override(values: Mapping[str, Any], given: Mapping[str, Any], section: type[Section]) -> dict[str, Any]:
    """``values`` with those given, section by section; a value that is a mapping itself is taken whole."""
    overridden = dict(values)
    for name, value in given.items():
        inner = field.annotation if (field := section.model_fields.get(name)) else None
        if isinstance(inner, type) and issubclass(inner, Section) and isinstance(value, Mapping):
            value = _override(overridden.get(name, {}), value, inner)
        overridden[name] = value
    return overridden


def merge(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` with ``changes``, mapping by mapping."""
    merged = dict(values)
    for name, change in changes.items():
        both = isinstance(change, Mapping) and isinstance(values.get(name), Mapping)
        merged[name] = merge(values[name], change) if both else change
    return merged


def build_network(network: Kind, dims: Mapping[str, int], class_counts: Sequence[int]) -> Any:
    """A new network of a kind, on the device that torch builds on.

    It is for features of these widths by modality, and as many classes as there are ``class_counts``, each of
    so many labelled utterances of the training split.
    """
    kind = find_network(network, "network")
    return kind.module.build(kind.params, dims, class_counts)


def module_of_network(network: Kind, dims: Mapping[str, int], class_counts: Sequence[int]) -> str:
    """The module whose code ``build_network`` runs: that of the network's class, if it is one of ours.

    Where that is not the kind's own, the kind has no part in results but by its params' values.
    """
    import torch

    with torch.device("meta"):
        module = type(build_network(network, dims, class_counts)).__module__
    return module if module.startswith("train.") else f"{KINDS}.{network.kind}"


def run_network(network: Network, batch: Batch, precision: str) -> Any:
    """The network's output for a batch, computed in ``precision``: float32 or bfloat16."""
    import torch

    with torch.autocast(batch.label.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        return network(batch)
