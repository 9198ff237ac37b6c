"""An iterative network after Lu et al., COLING 2020; a definition of ours, because theirs is not public."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from train.data import Batch
from train.peers.network import Peer, classifier
from train.peers.recurrent import Bidirectional

if TYPE_CHECKING:
    from train.networks.iterative_erc import Params


class Output(NamedTuple):
    """What the network says of each utterance of a batch."""

    logits: Tensor
    """[n, classes]: those of the last iteration."""
    iterations: tuple[Tensor, ...]
    """[n, classes] of each iteration, from the first prediction, k = 0, to the last, k = K."""


class IterativeErc(Peer):
    """Predictions for the whole dialogue are read again beside its utterances u_1..u_T, K times:

        l^0_t = W_0 u_t + b_0
        l^k_t = MLP(GRU([u_1, p^{k-1}_1 E]..[u_T, p^{k-1}_T E])_t),  p^k = softmax(l^k)

    The GRU is bidirectional; it, the MLP (a layer, ReLU, dropout, a layer) and the emotions' embedding E,
    [classes, size], serve all iterations.  The loss is the mean over k = 0..K of cross-entropy, and
    distributions stay in the graph; prediction is by l^K.

    The emotion embedding, the GRU, the classifier and the feedback are the paper's; that weights are shared,
    that the gradient passes through what is fed back, and the form of the loss are ours.
    """

    def __init__(self, params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> None:
        super().__init__(params, dims, class_counts)
        classes, size = len(class_counts), params.state_size
        self.iterations = params.iterations
        self.first = nn.Linear(self.inputs.size, classes)
        self.embed = nn.Linear(classes, params.emotion_size, bias=False)
        self.gru = Bidirectional(nn.GRU, self.inputs.size + params.emotion_size, size)
        self.classify = classifier(2 * size, params.classifier_size, params.dropout, classes)

    def forward(self, batch: Batch) -> Output:
        """Logits [n, classes] of every iteration."""
        u = self.inputs.concatenate(batch)
        logits = [self.first(u)]
        for _ in range(self.iterations):
            emotions = self.embed(logits[-1].softmax(dim=-1))
            logits.append(self.classify(self.gru(torch.cat([u, emotions], dim=-1), batch.packing)))
        exact = tuple(self.output(each).logits for each in logits)
        return Output(exact[-1], exact)

    def losses(self, output: Output, label: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        """``total``, the mean of cross-entropy over iterations, and that of the ``first`` and the last."""
        each = [self.cross_entropy(logits, label) for logits in output.iterations]
        return {"total": torch.stack(each).mean(), "first": each[0], "last": each[-1]}
