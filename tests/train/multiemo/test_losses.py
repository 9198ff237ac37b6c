"""The losses against Eq. 18-22 written out, sample by sample."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from pipeline.features.content import UNLABELLED
from train.multiemo.losses import (
    Memory,
    authors_soft_hgr_loss,
    batch_weight,
    soft_hgr_loss,
    swfc_loss,
    training_losses,
    training_set_weight,
)
from train.networks.multiemo import LossParams

TAU, ALPHA, GAMMA = 0.8, 0.8, 2.0


def swfc_written_out(z, label, tau=TAU, alpha=ALPHA, gamma=GAMMA):
    count, total = len(z), 0.0
    for j in range(count):
        others = [s for s in range(count) if s != j]
        positives = [g for g in others if label[g] == label[j]]
        if not positives:
            continue
        n_y = sum(1 for s in range(count) if label[s] == label[j])
        denominator = sum(math.exp(float(z[j] @ z[s]) / tau) for s in others)
        inner = 0.0
        for g in positives:
            s_jg = math.exp(float(z[j] @ z[g]) / tau) / denominator
            inner += (1 - s_jg) ** gamma * math.log(s_jg)
        total -= (count / n_y) ** alpha / len(positives) * inner
    return total


def soft_hgr_written_out(features):
    def centre(rows):
        mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        return [[x - m for x, m in zip(row, mean, strict=True)] for row in rows]

    def covariance(rows):
        size = range(len(rows[0]))
        return [[sum(row[a] * row[b] for row in rows) / (len(rows) - 1) for b in size] for a in size]

    centred = [centre(f.tolist()) for f in features]
    total = 0.0
    for q, v in itertools.product(range(len(features)), repeat=2):
        if q == v:
            continue
        products = [
            x * y for a, b in zip(centred[q], centred[v], strict=True) for x, y in zip(a, b, strict=True)
        ]
        expectation = sum(products) / len(centred[q])
        cov_q, cov_v = covariance(centred[q]), covariance(centred[v])
        size = range(len(cov_q))
        trace = sum(cov_q[a][b] * cov_v[b][a] for a in size for b in size)
        total -= expectation - 0.5 * trace
    return total


@pytest.fixture
def samples():
    generator = torch.Generator().manual_seed(3)
    z = torch.randn(17, 5, generator=generator, dtype=torch.float64)
    label = torch.tensor([0, 0, 1, 2, 0, 1, 1, 0, 2, 2, 0, 0, 1, 3, 0, 2, 1])  # 3 occurs once
    return z, label


@pytest.mark.parametrize(("alpha", "gamma", "tau"), [(0.8, 2.0, 0.8), (0.0, 0.0, 1.0), (1.0, 0.5, 0.3)])
def test_swfc_is_eq_18_and_19(samples, alpha, gamma, tau):
    z, label = samples
    expected = swfc_written_out(z, label, tau, alpha, gamma)
    found = swfc_loss(z, label, batch_weight(label, alpha), tau, gamma)
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_swfc_gradient_is_that_of_eq_18_and_19(samples):
    z, label = samples
    z = z[:6].clone().requires_grad_()
    weight = batch_weight(label[:6], ALPHA)
    assert torch.autograd.gradcheck(lambda z: swfc_loss(z, label[:6], weight, TAU, GAMMA), z)


def test_the_weights_of_the_authors_are_of_the_whole_training_set_and_add_up_to_one():
    counts = [471, 0, 27, 110]
    expected = [(608 / n) ** 1.2 if n else 0 for n in counts]
    found = training_set_weight(counts, 1.2)
    assert found.tolist() == pytest.approx([weight / sum(expected) for weight in expected], rel=1e-12)


def test_soft_hgr_is_eq_20():
    generator = torch.Generator().manual_seed(4)
    features = [torch.randn(9, 4, generator=generator, dtype=torch.float64) + m for m in range(3)]
    assert soft_hgr_loss(features).item() == pytest.approx(soft_hgr_written_out(features), rel=1e-12)


def test_soft_hgr_of_the_authors_takes_samples_for_variables():
    generator = torch.Generator().manual_seed(4)
    features = [torch.randn(5, 4, generator=generator, dtype=torch.float64) + m for m in range(3)]

    def covariance(rows):
        centred = [[x - sum(row) / len(row) for x in row] for row in rows]
        return [
            [sum(x * y for x, y in zip(a, b, strict=True)) / (len(a) - 1) for b in centred] for a in centred
        ]

    expected = 0.0
    for q, v in itertools.combinations([f.tolist() for f in features], 2):
        products = [x * y for a, b in zip(q, v, strict=True) for x, y in zip(a, b, strict=True)]
        cov_q, cov_v = covariance(q), covariance(v)
        trace = sum(cov_q[i][j] * cov_v[j][i] for i in range(5) for j in range(5))
        expected -= sum(products) / 5 - 0.5 * trace / 5
    assert authors_soft_hgr_loss(features).item() == pytest.approx(expected, rel=1e-12)


def test_soft_hgr_rewards_features_that_go_together():
    features = torch.randn(50, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    unrelated = torch.randn(50, 4, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    assert soft_hgr_loss([features, features]) < soft_hgr_loss([features, unrelated])


def test_soft_hgr_of_a_single_modality_is_zero():
    assert soft_hgr_loss([torch.randn(5, 3)]).item() == 0


def test_total_is_eq_22_and_ignores_what_is_no_sample():
    generator = torch.Generator().manual_seed(7)
    logits, z, *fused = (torch.randn(18, 4, generator=generator, dtype=torch.float64) for _ in range(5))
    label = torch.randint(4, (18,), generator=generator)
    label[4:6] = UNLABELLED
    label[13] = UNLABELLED
    logits[5] = z[5] = torch.nan  # what is no sample may hold anything
    losses = training_losses(logits, z, dict(zip("tav", fused, strict=True)), label, LossParams())

    sample = label != UNLABELLED
    count = int(sample.sum())
    pairs = zip(logits[sample], label[sample], strict=True)
    cross_entropy = -sum(math.log(float(row.exp()[y] / row.exp().sum())) for row, y in pairs)
    swfc = swfc_written_out(z[sample], label[sample])
    soft_hgr = soft_hgr_written_out([f[sample] for f in fused])
    expected = (0.4 * swfc + 0.3 * soft_hgr + 0.3 * cross_entropy) / count
    assert losses["total"].item() == pytest.approx(expected, rel=1e-12)
    assert losses["cross_entropy"].item() == pytest.approx(cross_entropy / count, rel=1e-12)


@pytest.mark.parametrize("label", [[0], [0, 0], [0, 1], [0, 1, 1], [0, 0, 0, 2]])
@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
@pytest.mark.parametrize("focus", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("soft_hgr", ["paper", "authors"])
def test_losses_and_gradients_are_finite_for_few_samples_and_extreme_values(label, scale, focus, soft_hgr):
    generator = torch.Generator().manual_seed(8)
    logits, z, *fused = (scale * torch.randn(len(label), 6, generator=generator) for _ in range(5))
    leaves = [tensor.requires_grad_() for tensor in (logits, z, *fused)]
    modalities = dict(zip("tav", fused, strict=True))
    losses = training_losses(
        logits, z, modalities, torch.tensor(label), LossParams(focus=focus, soft_hgr=soft_hgr)
    )
    losses["total"].backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves)


def test_a_label_of_one_sample_adds_nothing_to_swfc_but_repels():
    z = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]], dtype=torch.float64)
    weight = torch.ones(3, dtype=torch.float64)
    alone = swfc_loss(z[:2], torch.tensor([0, 0]), weight[:2], TAU, GAMMA)
    assert alone.item() == pytest.approx(0, abs=1e-12)  # s is 1: the pair has no rival
    with_rival = swfc_loss(z, torch.tensor([0, 0, 1]), weight, TAU, GAMMA)
    assert with_rival > alone


def test_normalised_z_makes_swfc_blind_to_length():
    generator = torch.Generator().manual_seed(9)
    logits, z, fused = (torch.randn(8, 3, generator=generator) for _ in range(3))
    label = torch.randint(2, (8,), generator=generator)
    params = LossParams(normalise_z=True)
    short, long = (training_losses(logits, k * z, {"text": fused}, label, params)["swfc"] for k in (0.1, 10))
    torch.testing.assert_close(short, long)


def test_samples_in_memory_are_rivals_and_positives_but_no_anchors(samples):
    z, label = samples
    new, old = slice(0, 6), slice(6, None)
    weight = torch.linspace(0.5, 1, 17, dtype=torch.float64)
    # Without a weight a sample is no anchor, and all else is the same.
    expected = swfc_loss(z, label, torch.where(torch.arange(17) < 6, weight, 0), TAU, GAMMA)
    found = swfc_loss(z[new], label[new], weight[new], TAU, GAMMA, Memory(z[old], label[old]))
    torch.testing.assert_close(found, expected)
    one = swfc_loss(z[:1], label[:1], weight[:1], TAU, GAMMA, Memory(z[old], label[old]))
    assert one > 0  # a batch of one has positives, too


def test_normalised_z_is_normalised_in_memory_too(samples):
    z, label = samples
    fused, logits = {"text": z}, torch.randn(17, 4, dtype=torch.float64)
    params = LossParams(normalise_z=True)
    memory = [Memory(k * z[:4], label[:4]) for k in (1, 50)]
    first, second = (training_losses(logits, z, fused, label, params, memory=m)["swfc"] for m in memory)
    torch.testing.assert_close(first, second)
