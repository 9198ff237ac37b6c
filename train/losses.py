"""The training objective [3.6].

A sample is a labelled utterance of the batch, and N is their number: unlabelled utterances take
no part.  Every loss here is finite, with finite gradients, for any number of
samples from one up.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from train.data import IGNORED_LABEL

if TYPE_CHECKING:
    from train.networks.multiemo import LossParams


def training_losses(
    logits: Tensor, z: Tensor, fused: Mapping[str, Tensor], label: Tensor, params: LossParams
) -> dict[str, Tensor]:
    """Eq. 22 without its last term as ``total``, and its terms; each divided by the number of samples.

    logits [n, classes]; z [n, D] of Eq. 14; fused [n, D] per modality; label int64 [n],
    IGNORED_LABEL where an utterance is no sample.  At least one must be.  Cross-entropy, Eq. 21, is torch's.

    The last term, lambda ||theta||^2 over all parameters, has the gradient 2 lambda theta: Adam with
    ``weight_decay = 2 lambda`` (not AdamW) applies exactly that.
    """
    sample = label != IGNORED_LABEL
    label, z = label[sample], z[sample]
    if params.normalise_z:
        z = F.normalize(z, dim=-1)
    swfc = swfc_loss(z, label, params.temperature, params.sample_weight_exponent, params.focus) / len(label)
    soft_hgr = soft_hgr_loss([features[sample] for features in fused.values()]) / len(label)
    cross_entropy = F.cross_entropy(logits[sample], label, reduction="sum") / len(label)  # Eq. 21
    rest = 1 - params.swfc_weight - params.soft_hgr_weight
    total = params.swfc_weight * swfc + params.soft_hgr_weight * soft_hgr + rest * cross_entropy
    return {"total": total, "swfc": swfc, "soft_hgr": soft_hgr, "cross_entropy": cross_entropy}


def swfc_loss(
    z: Tensor, label: Tensor, temperature: float, sample_weight_exponent: float, focus: float
) -> Tensor:
    """Sample-Weighted Focal Contrastive loss, Eq. 18-19: z [N, D], label int64 [N] to a scalar.

    A_{i,j} is every other sample of the batch, whatever its dialogue.  A sample whose label no other
    sample has contributes 0: its sum over R_{i,j} is empty.
    """
    count = len(z)
    if count < 2:  # A is empty; a zero that still belongs to the graph
        return 0 * z.sum()
    itself = torch.eye(count, dtype=torch.bool, device=z.device)
    same_label = label[:, None] == label[None, :]
    positive = same_label & ~itself
    similarity = (z @ z.T).div_(temperature).masked_fill_(itself, -torch.inf)  # in place: N is large
    log_s = F.log_softmax(similarity, dim=1)
    # Masked before and not after the product below, where -inf on the diagonal would make NaN gradients.
    log_s = log_s.masked_fill(~positive, 0)
    # expm1 keeps 1 - s exact for s near 1; the floor keeps the power's gradient finite for focus < 1.
    one_minus_s = (-torch.expm1(log_s)).clamp_min(torch.finfo(z.dtype).tiny)
    summed = (one_minus_s.pow(focus) * log_s).sum(dim=1)
    positives = positive.sum(dim=1)  # |R|
    weight = (count / same_label.sum(dim=1).to(z.dtype)) ** sample_weight_exponent
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
