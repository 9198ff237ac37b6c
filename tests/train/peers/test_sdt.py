"""What SDT has beside its logits."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pipeline.features.content import UNLABELLED
from tests.train.test_networks import dialogues_of, network_of, small
from train.peers.sdt import Output


def test_its_loss_is_that_of_teacher_and_students_and_the_divergence_between_them():
    torch.manual_seed(0)
    teacher, *students = torch.randn(4, 5, 3)
    label = torch.tensor([0, 2, UNLABELLED, 1, 1])
    network = network_of(small("sdt", temperature=2.0))
    losses = network.losses(Output(teacher, dict(zip("tav", students, strict=True))), label)
    sample = label != UNLABELLED
    expected = F.cross_entropy(teacher[sample], label[sample])
    p = (teacher[sample] / 2).softmax(-1)
    for student in students:
        q = (student[sample] / 2).softmax(-1)
        expected = expected + F.cross_entropy(student[sample], label[sample])
        expected = expected + (p * (p / q).log()).sum(-1).mean()
    assert losses["total"].item() == pytest.approx(expected.item())
    assert losses["total"].item() == pytest.approx(sum(losses.values()).item() - losses["total"].item())


def test_its_students_are_taught_by_a_teacher_who_moves_too():
    teacher, student = torch.randn(2, 3), torch.randn(2, 3)
    teacher.requires_grad_()
    losses = network_of(small("sdt")).losses(Output(teacher, {"text": student}), torch.tensor([0, 1]))
    losses["distillation"].backward()
    assert teacher.grad.abs().sum() > 0


def test_dropout_is_on_what_each_transformer_gets_and_once_where_a_modality_attends_to_itself():
    network, got = network_of(small("sdt", dropout=0.5)), {}
    for pair, layer in network.attend.items():
        layer.register_forward_pre_hook(lambda _, given, pair=pair: got.update({pair: given[:2]}))
    dialogues = dialogues_of((9, 9))
    network.train()(dialogues.batch(dialogues.spans["train"]))
    assert got["text_text"][0] is got["text_text"][1]
    dropped = torch.cat([each.flatten() == 0 for pair in got.values() for each in pair])
    assert 0.4 < dropped.float().mean() < 0.6
