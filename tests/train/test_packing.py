"""Packing to padding and back."""

from __future__ import annotations

import pytest
import torch

from train.packing import Packing

CPU = torch.device("cpu")


def test_padding_and_packing_undo_each_other():
    packing = Packing([3, 3, 1], CPU)
    rows = torch.arange(1, 15).unflatten(0, (7, 2))
    padded = packing.pad(rows)
    assert padded[..., 0].tolist() == [[1, 3, 5], [7, 9, 11], [13, 0, 0]]
    assert torch.equal(packing.pack(padded), rows)


def test_steps_are_first_utterances_then_second_ones():
    packing = Packing([4, 2, 1], CPU)
    dialogue = packing.pack(torch.tensor([[0] * 4, [1] * 4, [2] * 4]))
    assert dialogue.tolist() == [0, 0, 0, 0, 1, 1, 2]
    assert packing.position.tolist() == [0, 1, 2, 3, 0, 1, 0]
    assert packing.dialogues_at_step == [3, 2, 1, 1]
    assert packing.first_of_step == [0, 3, 5, 6]
    assert (packing.by_step // 4).tolist() == [0, 1, 2, 0, 1, 0, 0]
    assert (packing.by_step % 4).tolist() == [0, 0, 0, 1, 1, 2, 3]


def test_rows_sorted_by_step_come_back_in_order():
    packing = Packing([4, 2, 1], CPU)
    rows = torch.arange(7)
    assert packing.to_steps(rows).tolist() == [0, 4, 6, 1, 5, 2, 3]
    assert torch.equal(packing.from_steps(packing.to_steps(rows)), rows)


def test_dialogues_out_of_order_are_refused():
    with pytest.raises(ValueError, match="falling order"):
        Packing([1, 2], CPU)


def test_dialogues_lie_end_to_end_in_lanes_as_long_as_the_longest():
    packing = Packing([9, 6, 5, 4, 2, 1], CPU)
    dialogue = torch.tensor([1] * 9 + [2] * 6 + [3] * 5 + [4] * 4 + [5] * 2 + [6])
    lanes = packing.to_lanes(dialogue)
    assert lanes.tolist() == [[1] * 9, [2] * 6 + [5] * 2 + [6], [3] * 5 + [4] * 4]
    rows = torch.randn(27, 2)
    assert torch.equal(packing.from_lanes(packing.to_lanes(rows)), rows)


def test_only_utterances_of_one_dialogue_are_together():
    packing = Packing([4, 2, 1], CPU)
    one, two = packing.together.tolist()
    assert one == [[True] * 4] * 4
    first, second, empty = [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]
    assert two == [first, first, second, empty]


def test_padding_passes_gradients_on_and_keeps_no_copy_of_the_rows_for_them():
    packing = Packing([3, 1], torch.device("cpu"))
    rows = torch.randn(4, 5, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda saved: kept.append(saved) or saved, lambda s: s):
        padded = packing.pad(rows)
    assert not any(saved.is_floating_point() for saved in kept)
    weight = torch.randn(2, 3, 5)
    (padded * weight).sum().backward()
    assert torch.equal(rows.grad, packing.pack(weight))


def test_keys_are_attended_to_within_a_dialogue_and_all_of_one_that_has_none():
    packing = Packing([4, 2, 1], CPU)
    attended, any_key = packing.attended(torch.tensor([0, 1, 0, 1, 0, 0, 1], dtype=torch.bool))
    assert attended[0].tolist() == [[False, True, False, True]] * 4
    assert any_key[0].all()
    without, alone, empty = [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]
    assert attended[1].tolist() == [without, without, alone, empty]
    assert any_key[1].flatten().tolist() == [False, False, True, False]
