"""Which layers of an encoder of transformers give the vectors of its tokens or frames.

Layer k is what block k gives, counted from 1, or from the end as -1; ``last`` is what the network gives in
the end, which is layer -1 after the final norm where there is one.  transformers' own ``hidden_states[-1]``
is now the one, now the other, by its version and by the family; so blocks are listened to instead.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from pipeline.errors import UserError
from pipeline.params import LAST

if TYPE_CHECKING:
    from torch import Tensor, nn

# Where families keep their blocks: speech and Whisper; BERT and its kin; DistilBERT; ModernBERT.
_BLOCKS = ("encoder.layers", "encoder.layer", "transformer.layer", "layers")


def check_layers(key: str, layers: Any, network: nn.Module) -> None:
    """UserError, naming the param ``key``, unless the network has these layers."""
    if layers == LAST:
        return
    blocks = _blocks(network)
    if blocks is None:
        raise UserError(f"{key}: layers of a {type(network).__name__} are not known here; set it to {LAST}")
    for number in layers:
        if abs(number) > len(blocks):
            raise UserError(f"{key}: there is no layer {number}; {type(network).__name__} has {len(blocks)}")


def hidden_states(network: Any, layers: Any, **inputs: Tensor) -> Tensor:
    """What layers say of each token or frame, their mean: [B, T, D]."""
    if layers == LAST:
        states: Tensor = network(**inputs).last_hidden_state
        return states
    blocks: Any = _blocks(network)
    said: list[Tensor] = []

    def listen(block: nn.Module, given: Any, output: Any) -> None:
        said.append(output[0] if isinstance(output, tuple) else output)

    with ExitStack() as stack:
        for number in layers:
            hook = blocks[number - 1 if number > 0 else number].register_forward_hook(listen)
            stack.callback(hook.remove)
        network(**inputs)
    return sum(said[1:], said[0]) / len(said)


def _blocks(network: nn.Module) -> nn.ModuleList | None:
    from torch import nn

    modules = dict(network.named_modules())
    found = (modules.get(name) for name in _BLOCKS)
    return next((each for each in found if isinstance(each, nn.ModuleList)), None)
