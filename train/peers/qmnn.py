"""QMNN's network: Li et al., AAAI 2021."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.data import Batch
from train.packing import Packing
from train.peers.network import Output, Peer, classifier

if TYPE_CHECKING:
    from train.networks.qmnn import Params


class Qmnn(Peer):
    """An utterance is a mixture of pure states, one for each modality, in a complex space of d dimensions.

        r_m = ReLU(W_m u^m_t + b_m)                    of each observed modality m
        psi_m = r_m / |r_m| * exp(i phi)               phi_k = t f_k + 2 pi sigmoid(phase_{speaker, k})
        rho_t = sum_m w_m |psi_m><psi_m|               w = softmax_m |r_m|
        h_t = lambda U rho_t U* + (1 - lambda) V h_{t-1} V*,  h_0 = I / d
        p_k = <e_k| h_t |e_k>                          e_1..e_d: rows of a unitary matrix E
        logits_t = tanh(W_2 dropout(ReLU(W_1 p + b_1)) + b_2)

    f_k = 10000^(-k/d), and phases are drawn from a normal distribution; neither is learnt, unless
    ``learn_phases``.  So logits lie in [-1, 1], and the past is all that is seen.  Where there is no state,
    because nothing was observed or r_m is 0, I / d takes its place.

    No d x d state is ever made.  V does not change I / d, so with a = t - j

        p_k(t) = sum_{j <= t} lambda (1 - lambda)^a sum_m w_m |<e_k| V^a U |psi_m(j)>|^2 + (1 - lambda)^t / d

    which takes one product of all utterances' psi with E V^a U for each lag a.

    U, V and E are exp(X - X*), X = 0 at the start, and learnt by Adam like all else.  The code steps on the
    unitary matrices themselves (RMSprop by a Cayley transform, from the wrong side of the matrix).
    """

    def __init__(self, params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> None:
        super().__init__(params, dims, class_counts)
        size = params.state_size
        self.amplitude = nn.ModuleDict({m: nn.Linear(width, size) for m, width in self.inputs.sizes.items()})
        frequency = torch.logspace(0, -4 * (size - 1) / size, size)
        self.frequency = nn.Parameter(frequency, requires_grad=params.learn_phases)
        phase = torch.randn(params.phase_speakers, size)
        self.phase = nn.Parameter(phase, requires_grad=params.learn_phases)
        self.generators = nn.Parameter(torch.zeros(3, 2, size, size))
        """Real and imaginary part of X, of U, V and E."""
        self.share = nn.Parameter(torch.zeros(()))
        """lambda before the sigmoid."""
        self.classify = classifier(size, params.classifier_size, params.dropout, len(class_counts))

    def forward(self, batch: Batch) -> Output:
        """Logits [n, classes]."""
        inputs = self.inputs(batch)
        with torch.autocast(batch.speaker.device.type, enabled=False):
            weight, psi = self._states(inputs, batch)
            probability = self._measure(weight, psi, batch.packing)
        return self.output(torch.tanh(self.classify(probability)))

    def unitaries(self) -> Tensor:
        """U, V and E: complex [3, d, d]."""
        x = torch.complex(*self.generators.unbind(1))
        unitaries: Tensor = torch.matrix_exp(x - x.mH)
        return unitaries

    def _states(self, inputs: Mapping[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """w [n, M] and psi complex [n, M, d] of the M modalities; 0 where there is none."""
        dtype = self.share.dtype
        r = torch.stack([layer(inputs[m].to(dtype)).relu() for m, layer in self.amplitude.items()], dim=1)
        observed = torch.stack([batch.observed[m] for m in self.amplitude], dim=1)
        missing = ~observed & observed.any(dim=1, keepdim=True)
        norm = torch.linalg.vector_norm(r, dim=2)
        weight = norm.masked_fill(missing, -torch.inf).softmax(dim=1) * observed
        speaker = batch.speaker % len(self.phase)
        of_speaker = 2 * math.pi * torch.sigmoid(self.phase).index_select(0, speaker)
        angle = batch.packing.position[:, None] * self.frequency + of_speaker
        turned = torch.polar(torch.ones_like(angle), angle)
        return weight, F.normalize(r, dim=2) * turned.unsqueeze(1)

    def _measure(self, weight: Tensor, psi: Tensor, packing: Packing) -> Tensor:
        """p: [n, d]."""
        u, v, e = self.unitaries()
        n, _, size = psi.shape
        share = torch.sigmoid(self.share)
        weight, psi = packing.to_steps(weight), packing.to_steps(psi)
        mixed = (1 - (weight * psi.abs().square().sum(dim=2)).sum(dim=1, keepdim=True)) / size
        row = packing.to_steps(torch.arange(n, device=psi.device))
        step_of_row = packing.from_steps(torch.arange(n, device=psi.device))
        probability = psi.real.new_zeros(n, size)
        observer = e
        # For each lag, what the utterances of that long ago give to those that have one.
        for lag, first in enumerate(packing.first_of_step):
            source = step_of_row[row[first:] - lag]
            seen = psi.index_select(0, source) @ (observer @ u).mT
            given = (weight.index_select(0, source).unsqueeze(2) * seen.abs().square()).sum(dim=1)
            given = share * (1 - share) ** lag * (given + mixed.index_select(0, source))
            probability = probability + F.pad(given, (0, 0, first, 0))
            observer = observer @ v
        of_start = (1 - share) ** (packing.position[:, None] + 1) / size
        return packing.from_steps(probability) + of_start
