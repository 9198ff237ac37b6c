"""Every kind of network as a plain loop over one dialogue: one module per kind, named like it.

Such a module is written from the equations, utterance by utterance, and only reads the network's weights.
It has

- ``SMALL``: params of the kind by name that tests have the time for, without dropout, one set for each form
  of the network; the first is that of all other tests;
- ``logits(network, dialogue)``: [T, classes] of a dialogue;
- ``ALL_OBSERVED = True`` if it knows nothing of unobserved modalities;
- ``PAST_ONLY = True`` if no utterance of the network sees later ones.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class PlainDialogue(NamedTuple):
    """T utterances."""

    features: dict[str, Tensor]
    """[T, D] per modality."""
    observed: dict[str, list[bool]]
    """[T] per modality."""
    speaker: list[int]
    """[T]"""

    def __len__(self) -> int:
        return len(self.speaker)


def inputs(network: nn.Module, dialogue: PlainDialogue) -> dict[str, list[Tensor]]:
    """Each modality's vectors, reduced where the network does so, zero where unobserved."""
    found, reducing = {}, dict(network.inputs.reduce)
    for name, table in dialogue.features.items():
        reduce = reducing.get(name, lambda x: x)
        found[name] = [
            reduce(x) if seen else 0 * reduce(x)
            for x, seen in zip(table, dialogue.observed[name], strict=True)
        ]
    return found


def concatenated(network: nn.Module, dialogue: PlainDialogue) -> list[Tensor]:
    """u_1..u_T."""
    return [torch.cat(each) for each in zip(*inputs(network, dialogue).values(), strict=True)]


def bidirectional(network: nn.Module, xs: list[Tensor]) -> list[Tensor]:
    """``train.peers.recurrent.Bidirectional`` over x_1..x_T."""
    for layer in network.layers:
        step = lstm_step if isinstance(layer, nn.LSTM) else gru_step
        forward = recurrence(step, weights_of(layer, "l0"), xs)
        backward = recurrence(step, weights_of(layer, "l0_reverse"), xs[::-1])[::-1]
        xs = [torch.cat(pair) for pair in zip(forward, backward, strict=True)]
    return xs


def weights_of(layer: nn.Module, suffix: str) -> tuple[Tensor, ...]:
    """W_i, W_h, b_i, b_h of one direction of torch's recurrences, or of its cells with no suffix."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return tuple(getattr(layer, f"{name}_{suffix}" if suffix else name) for name in names)


def recurrence(step, weights: tuple[Tensor, ...], xs: list[Tensor]) -> list[Tensor]:
    """h_1..h_T by ``lstm_step`` or ``gru_step``."""
    state = 2 * (xs[0].new_zeros(weights[1].shape[1]),)
    states = []
    for x in xs:
        state = step(weights, x, state)
        states.append(state[0])
    return states


def lstm_step(weights: tuple[Tensor, ...], x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """h, c of an LSTM."""
    w_i, w_h, b_i, b_h = weights
    h, c = state
    i, f, g, o = (w_i @ x + b_i + w_h @ h + b_h).chunk(4)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru_step(weights: tuple[Tensor, ...], x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor]:
    """h of a GRU."""
    w_i, w_h, b_i, b_h = weights
    h = state[0]
    r_x, z_x, n_x = (w_i @ x + b_i).chunk(3)
    r_h, z_h, n_h = (w_h @ h + b_h).chunk(3)
    z = (z_x + z_h).sigmoid()
    n = (n_x + (r_x + r_h).sigmoid() * n_h).tanh()
    return ((1 - z) * n + z * h,)


def dialogue_attention(attention: nn.Module, hs: list[Tensor]) -> list[Tensor]:
    """``train.peers.attention.DialogueAttention`` over h_1..h_T."""
    attended = []
    for query in hs:
        scores = torch.stack([attention.query(query) @ h for h in hs])
        weights = (scores.tanh() if attention.squashed else scores).softmax(0)
        attended.append(sum(weight * h for weight, h in zip(weights, hs, strict=True)))
    return attended
