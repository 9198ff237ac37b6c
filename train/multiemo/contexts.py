"""How each modality sees the rest of its dialogue before fusion [3.3.1-3.3.3]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn

from train.packing import Packing
from train.peers.recurrent import DialogueRNN

if TYPE_CHECKING:
    from train.networks.multiemo import Params


class Contexts(nn.Module):
    """Features [n, D] of each modality to context vectors C^m [n, hidden_size].

    ``params.reduced_sizes`` puts a fully-connected layer first, as the paper does for audio.  Without a
    DialogueRNN, a fully-connected layer makes the context vector from the utterance alone, zero
    where the modality was not observed.
    """

    def __init__(self, dims: Mapping[str, int], params: Params) -> None:
        super().__init__()
        size, rnn = params.hidden_size, params.dialogue_rnn
        reduced: dict[str, int] = {
            name: width for name, width in params.reduced_sizes.items() if name in dims
        }
        sizes = {**dims, **reduced}
        alone = [name for name in dims if getattr(params.context, name) == "none"]
        recurrent = {name: width for name, width in sizes.items() if name not in alone}
        self.names = tuple(dims)
        self.reduce = nn.ModuleDict({name: nn.Linear(dims[name], width) for name, width in reduced.items()})
        self.fc = nn.ModuleDict({name: nn.Linear(sizes[name], size) for name in alone})
        directions = 1 if rnn.directions == "forward" else 2
        state_size = rnn.state_size or size // directions
        self.rnn = DialogueRNN(recurrent, state_size, directions, rnn.attention) if recurrent else None
        projected = recurrent if rnn.output == "linear_relu" else ()
        self.project = nn.ModuleDict({name: nn.Linear(directions * state_size, size) for name in projected})
        self.rectify = rnn.output != "states"

    def forward(
        self, features: Mapping[str, Tensor], observed: Mapping[str, Tensor], speaker: Tensor, speakers: int,
        packing: Packing,
    ) -> dict[str, Tensor]:  # fmt: skip
        """Arguments as in DialogueRNN."""
        inputs = {
            name: self.reduce[name](table) if name in self.reduce else table
            for name, table in features.items()
        }
        contexts = {name: fc(inputs[name]) * observed[name].unsqueeze(-1) for name, fc in self.fc.items()}
        if self.rnn is not None:
            for name, states in self.rnn(inputs, observed, speaker, speakers, packing).items():
                context = self.project[name](states) if name in self.project else states
                contexts[name] = context.relu() if self.rectify else context
        return {name: contexts[name] for name in self.names}
