"""Networks: one module per kind, with its ``Params`` and ``build(params, dims, classes)``; nothing else.

What ``build`` returns is a torch module with the two methods of ``Network``.  Loop, checkpoints, curves and
metrics know no more of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.params import Kind, KindOf, read_kind

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

        label: int64 [n], IGNORED_LABEL where there is none; one at least has one.
        """
        ...


def find_network(network: Kind, key: str) -> KindOf:
    """The module and params of a network's kind; UserError, naming ``key``, if there is none."""
    return read_kind(KINDS, network, key)


def build_network(network: Kind, dims: Mapping[str, int], classes: int) -> Any:
    """A new network of a kind for features of these widths, on the device that torch builds on."""
    kind = find_network(network, "network")
    return kind.module.build(kind.params, dims, classes)


def run_network(network: Network, batch: Batch, precision: str) -> Any:
    """The network's output for a batch, computed in ``precision``: float32 or bfloat16."""
    import torch

    with torch.autocast(batch.label.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        return network(batch)
