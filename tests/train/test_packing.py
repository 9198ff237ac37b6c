"""Packing to padding and back."""

from __future__ import annotations

import pytest
import torch

from train.packing import Layout

CPU = torch.device("cpu")


def test_padding_and_packing_undo_each_other():
    layout = Layout([3, 3, 1], CPU)
    rows = torch.arange(1, 15).unflatten(0, (7, 2))
    padded = layout.pad(rows)
    assert padded[..., 0].tolist() == [[1, 3, 5], [7, 9, 11], [13, 0, 0]]
    assert torch.equal(layout.pack(padded), rows)


def test_steps_are_first_utterances_then_second_ones():
    layout = Layout([4, 2, 1], CPU)
    dialogue = layout.pack(torch.tensor([[0] * 4, [1] * 4, [2] * 4]))
    assert dialogue.tolist() == [0, 0, 0, 0, 1, 1, 2]
    assert layout.dialogues_at_step == [3, 2, 1, 1]
    assert layout.first_of_step == [0, 3, 5, 6]
    assert (layout.by_step // 4).tolist() == [0, 1, 2, 0, 1, 0, 0]
    assert (layout.by_step % 4).tolist() == [0, 0, 0, 1, 1, 2, 3]


def test_dialogues_out_of_order_are_refused():
    with pytest.raises(ValueError, match="falling order"):
        Layout([1, 2], CPU)


def test_dialogues_lie_end_to_end_in_lanes_as_long_as_the_longest():
    layout = Layout([9, 6, 5, 4, 2, 1], CPU)
    dialogue = torch.tensor([1] * 9 + [2] * 6 + [3] * 5 + [4] * 4 + [5] * 2 + [6])
    lanes = layout.to_lanes(dialogue).view(layout.lanes)
    assert lanes.tolist() == [[1] * 9, [2] * 6 + [5] * 2 + [6], [3] * 5 + [4] * 4]
    rows = torch.randn(27, 2)
    assert torch.equal(layout.from_lanes(layout.to_lanes(rows)), rows)


def test_only_utterances_of_one_dialogue_are_together():
    layout = Layout([4, 2, 1], CPU)
    one, two = layout.together.tolist()
    assert one == [[True] * 4] * 4
    first, second, empty = [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]
    assert two == [first, first, second, empty]


def test_padding_passes_gradients_on_and_keeps_no_copy_of_the_rows_for_them():
    layout = Layout([3, 1], torch.device("cpu"))
    rows = torch.randn(4, 5, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda saved: kept.append(saved) or saved, lambda s: s):
        padded = layout.pad(rows)
    assert not any(saved.is_floating_point() for saved in kept)
    weight = torch.randn(2, 3, 5)
    (padded * weight).sum().backward()
    assert torch.equal(rows.grad, layout.pack(weight))
