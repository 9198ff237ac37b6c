"""DialogueRNN's network: Majumder et al., AAAI 2019."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from train.data import Batch
from train.dropout import Dropout
from train.peers.attention import DialogueAttention
from train.peers.network import Output, Peer, classifier
from train.peers.recurrent import DialogueRNN

if TYPE_CHECKING:
    from train.networks.dialogue_rnn import Params


class DialogueRnn(Peer):
    """The bidirectional model with attention over emotion states: BiDialogueRNN + Att.

        e_t = emotion states, both directions, of recurrent.DialogueRNN over the concatenated u_1..u_T
        m_t = sum_s softmax_s((W e_t + b) . e_s) e_s
        logits_t = W_2 dropout(ReLU(W_1 m_t + b_1)) + b_2

    An utterance is read whatever of it was observed: what was not is 0 in u_t.
    """

    def __init__(self, params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> None:
        super().__init__(params, dims, class_counts)
        self.rnn = DialogueRNN(
            {"u": self.inputs.size},
            params.state_size,
            directions=2,
            attention="general",
            emotion_size=params.emotion_size,
            dropout=params.dropout,
        )
        size = 2 * params.emotion_size
        self.output_dropout = Dropout(params.output_dropout)
        self.attention = DialogueAttention(size, squashed=False)
        self.classify = classifier(size, params.classifier_size, params.dropout, len(class_counts))

    def forward(self, batch: Batch) -> Output:
        """Logits [n, classes]."""
        u = {"u": self.inputs.concatenate(batch)}
        read = {"u": torch.ones_like(batch.speaker, dtype=torch.bool)}
        states = self.rnn(u, read, batch.speaker, batch.speakers, batch.packing)["u"]
        return self.output(self.classify(self.attention(self.output_dropout(states), batch.packing)))
