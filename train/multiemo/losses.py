"""The training objective [3.6].

A sample is a labelled utterance of the batch, and N is their number: unlabelled utterances take
no part.  Every loss here is finite, with finite gradients, for any number of
samples from one up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, permutations
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.features.content import UNLABELLED

if TYPE_CHECKING:
    from train.networks.multiemo import LossParams


def training_losses(
    logits: Tensor,
    z: Tensor,
    fused: Mapping[str, Tensor],
    label: Tensor,
    params: LossParams,
    class_weight: Tensor | None = None,
    memory: Memory | None = None,
) -> dict[str, Tensor]:
    """Eq. 22 without its last term as ``total``, and its terms; each divided by the number of samples.

    logits [n, classes]; z [n, D] of Eq. 14; fused [n, D] per modality; label int64 [n],
    UNLABELLED where an utterance is no sample.  At least one must be.  ``class_weight`` [classes] is
    that of Eq. 19, computed from the batch where it is None; ``memory`` has z of earlier samples.
    Cross-entropy, Eq. 21, is torch's.

    The last term, lambda ||theta||^2 over all parameters, has the gradient 2 lambda theta: Adam with
    ``weight_decay = 2 lambda`` (not AdamW) applies exactly that.
    """
    sample = label != UNLABELLED
    label, z = label[sample], z[sample]
    if params.normalise_z:
        z = F.normalize(z, dim=-1)
        memory = memory and Memory(F.normalize(memory.z, dim=-1), memory.label)
    weight = (
        batch_weight(label, params.sample_weight_exponent) if class_weight is None else class_weight[label]
    ).to(z.dtype)
    swfc = swfc_loss(z, label, weight, params.temperature, params.focus, memory) / len(label)
    features = [each[sample] for each in fused.values()]
    soft_hgr = (soft_hgr_loss if params.soft_hgr == "paper" else authors_soft_hgr_loss)(features) / len(label)
    cross_entropy = F.cross_entropy(logits[sample], label, label_smoothing=params.label_smoothing)  # Eq. 21
    rest = 1 - params.swfc_weight - params.soft_hgr_weight
    total = params.swfc_weight * swfc + params.soft_hgr_weight * soft_hgr + rest * cross_entropy
    return {"total": total, "swfc": swfc, "soft_hgr": soft_hgr, "cross_entropy": cross_entropy}


def batch_weight(label: Tensor, exponent: float) -> Tensor:
    """(N / n_y)^alpha of Eq. 19 for samples of these labels, int64 [N], counted among themselves; [N]."""
    return (len(label) / (label[:, None] == label).sum(dim=1, dtype=torch.float64)) ** exponent


def training_set_weight(class_counts: Sequence[int], exponent: float) -> Tensor:
    """The same of each class [classes], from its count in the training set, scaled to the sum 1.

    So does the code that the authors published; it makes the loss smaller by the sum of all weights, 215
    times on MELD for alpha 1.2.  A class that training lacks has weight 0.
    """
    counts = torch.tensor(class_counts, dtype=torch.float64)
    weight = torch.where(counts > 0, (counts.sum() / counts.clamp(min=1)) ** exponent, 0)
    return weight / weight.sum()


class Memory(NamedTuple):
    """Samples of earlier batches, which SWFC sets beside those of this one; no gradient goes to them."""

    z: Tensor
    """[M, D]"""
    label: Tensor
    """int64 [M]"""


def swfc_loss(
    z: Tensor, label: Tensor, weight: Tensor, temperature: float, focus: float, memory: Memory | None = None
) -> Tensor:
    """Sample-Weighted Focal Contrastive loss, Eq. 18-19: z [N, D], label int64 [N], weight [N] to a scalar.

    A_{i,j} is every other sample of the batch, whatever its dialogue, and all of the memory.  A sample whose
    label no other has contributes 0: its sum over R_{i,j} is empty.
    """
    count = len(z)
    others_z, others_label = z, label
    if memory is not None:
        others_z, others_label = torch.cat([z, memory.z]), torch.cat([label, memory.label])
    if len(others_z) < 2:  # A is empty; a zero that still belongs to the graph
        return 0 * z.sum()
    itself = torch.eye(count, len(others_z), dtype=torch.bool, device=z.device)
    positive = (label[:, None] == others_label[None, :]) & ~itself
    similarity = (z @ others_z.T).div_(temperature).masked_fill_(itself, -torch.inf)  # in place: N is large
    log_s = F.log_softmax(similarity, dim=1)
    # Masked before and not after the product below, where -inf on the diagonal would make NaN gradients.
    log_s = log_s.masked_fill(~positive, 0)
    # expm1 keeps 1 - s exact for s near 1; the floor keeps the power's gradient finite for focus < 1.
    one_minus_s = (-torch.expm1(log_s)).clamp_min(torch.finfo(z.dtype).tiny)
    summed = (one_minus_s.pow(focus) * log_s).sum(dim=1)
    positives = positive.sum(dim=1)  # |R|
    return -(weight / positives.clamp_min(1) * summed).sum()


def soft_hgr_loss(fused: list[Tensor]) -> Tensor:
    """Soft-HGR loss, Eq. 20: features [N, D] of each modality to a scalar; 0 for a single modality.

    Reading of Eq. 20: the sum binds Q and V in both terms, so it stretches over both and the minus
    sign stands before the whole, as in Soft-HGR's own paper (Wang et al., AAAI 2019, who maximise the
    bracket).  It runs over ordered pairs, as printed; counting each pair once would halve it.
    E[Q] = 0 is met by subtracting the sample mean.  Expectations divide by N, covariances, [D, D]
    over feature dimensions, by N - 1 (by 1 for a single sample, whose covariance is 0).
    """
    count = len(fused[0])
    centred = [features - features.mean(dim=0) for features in fused]
    covariance = [c.T @ c / max(count - 1, 1) for c in centred]
    total = fused[0].new_zeros(())
    for q, v in permutations(range(len(fused)), 2):
        expectation = (centred[q] * centred[v]).sum() / count
        # tr(A B) of symmetric matrices is the sum of their elementwise product.
        total = total - (expectation - 0.5 * (covariance[q] * covariance[v]).sum())
    return total


def authors_soft_hgr_loss(fused: list[Tensor]) -> Tensor:
    """Soft-HGR as in the code that the authors published: features [N, D] of each modality to a scalar.

    Features are not centred over samples, each pair of modalities counts once, and covariances, [N, N],
    are those of samples over feature dimensions, the trace of their product divided by N.
    """
    count, size = fused[0].shape
    total = fused[0].new_zeros(())
    for q, v in combinations(fused, 2):
        expectation = (q * v).sum() / count
        # tr(cov(Q) cov(V)) is |Q^T V|^2, without ever an N x N matrix.
        of_q, of_v = (each - each.mean(dim=1, keepdim=True) for each in (q, v))
        trace = (of_q.T @ of_v).square().sum() / max(size - 1, 1) ** 2
        total = total - (expectation - 0.5 * trace / count)
    return total
