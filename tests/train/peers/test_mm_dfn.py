"""What MM-DFN has beside its logits."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pipeline.features.content import UNLABELLED
from tests.train.test_networks import COUNTS, dialogues_of, network_of, small
from train.peers.mm_dfn import by_party
from train.peers.network import Output


def test_its_loss_is_the_focal_loss_of_what_is_labelled():
    torch.manual_seed(0)
    logits, label = torch.randn(5, 3), torch.tensor([0, 2, UNLABELLED, 1, 1])
    network = network_of(small("mm_dfn", focus=0.5, class_weight_exponent=1.0))
    summed = 0.0
    for row, y in zip(logits.tolist(), label.tolist(), strict=True):
        if y != UNLABELLED:
            p = torch.tensor(row).softmax(0)[y]
            summed = summed - sum(COUNTS) / COUNTS[y] * (1 - p) ** 0.5 * p.log()
    assert network.losses(Output(logits), label)["total"].item() == pytest.approx((summed / 4).item())


def test_no_gradient_goes_through_the_factor_that_makes_it_focal():
    logits = torch.tensor([[0.5, -1.0, 0.2]], requires_grad=True)
    network_of(small("mm_dfn", focus=2.0)).losses(Output(logits), torch.tensor([1]))["total"].backward()
    p = logits.detach().softmax(-1)
    of_cross_entropy = p - torch.tensor([[0.0, 1.0, 0.0]])
    torch.testing.assert_close(logits.grad, (1 - p[0, 1]) ** 2 * of_cross_entropy)


def test_without_focus_its_loss_is_cross_entropy():
    logits, label = torch.randn(4, 3), torch.tensor([0, 1, 2, 1])
    network = network_of(small("mm_dfn", focus=0.0))
    torch.testing.assert_close(network.losses(Output(logits), label)["total"], F.cross_entropy(logits, label))


def test_a_certain_answer_has_a_finite_gradient():
    logits = torch.tensor([[1e4, 0.0, 0.0], [0.0, 1.0, 0.0]], requires_grad=True)
    network = network_of(small("mm_dfn", focus=0.5))
    network.losses(Output(logits), torch.tensor([0, 0]))["total"].backward()
    assert logits.grad.isfinite().all()


def test_parties_are_a_speaker_of_a_dialogue_each_in_their_order():
    dialogues = dialogues_of((1, 6, 9))
    batch = dialogues.batch(dialogues.spans["train"])
    order, packing = by_party(batch)
    dialogue = batch.packing.places // batch.packing.shape[1]
    parties = [[row for row in party if row >= 0] for party in (packing.pad(order + 1) - 1).tolist()]
    assert sorted(row for party in parties for row in party) == list(range(len(batch.row)))
    assert len(parties) == len({*zip(dialogue.tolist(), batch.speaker.tolist(), strict=True)})
    for party in parties:
        assert party == sorted(party)
        assert len({(int(dialogue[row]), int(batch.speaker[row])) for row in party}) == 1
