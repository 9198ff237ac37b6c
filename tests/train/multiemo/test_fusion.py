"""MultiAttn against Eq. 2-12 written out, head by head."""

from __future__ import annotations

import math

import pytest
import torch

from train.multiemo.fusion import MultiAttn
from train.packing import Packing

SIZE, HEADS, INNER = 6, 2, 10
ORDER = {"text": ("audio", "visual"), "audio": ("text", "visual"), "visual": ("text", "audio")}


def layer_norm(x, norm):
    variance = ((x - x.mean(-1, keepdim=True)) ** 2).mean(-1, keepdim=True)
    return (x - x.mean(-1, keepdim=True)) / torch.sqrt(variance + norm.eps) * norm.weight + norm.bias


def attend_written_out(stage, query, context, keys):
    """Eq. 2-5 of one dialogue [T, size]; keys: places that may be attended to."""
    width = SIZE // HEADS
    heads = []
    for h in range(HEADS):
        block = slice(h * width, (h + 1) * width)
        q, k, v = (
            rows @ linear.weight[block].T + (linear.bias[block] if linear.bias is not None else 0)
            for rows, linear in (
                (query, stage.query), (context[keys], stage.key), (context[keys], stage.value)
            )
        )  # fmt: skip
        heads.append(torch.softmax(q @ k.T / math.sqrt(width), dim=-1) @ v if keys else torch.zeros_like(q))
    multi_head = torch.cat(heads, dim=-1) @ stage.output.weight.T
    if stage.output.bias is not None:
        multi_head = multi_head + stage.output.bias
    return layer_norm(query + multi_head, stage.norm)


def layer_written_out(layer, query, contexts, observed, others):
    """Eq. 2-12 of one dialogue."""
    for other in others:
        keys = [t for t in range(len(query)) if observed[other][t]]
        query = attend_written_out(layer.attend[other], query, contexts[other], keys)
    ffn = layer.feed_forward
    first = torch.clamp(query @ ffn.inner.weight.T + ffn.inner.bias, min=0)
    second = first @ ffn.outer.weight.T + ffn.outer.bias
    return layer_norm(query + second, ffn.norm)


@pytest.fixture
def dialogues():
    """Contexts of three dialogues of 5, 3 and 1 utterances; the second has no observed audio at all."""
    generator = torch.Generator().manual_seed(2)
    contexts = {m: torch.randn(9, SIZE, generator=generator, dtype=torch.float64) for m in ORDER}
    observed = {m: torch.rand(9, generator=generator) > 0.3 for m in ORDER}
    observed["audio"][5:8] = False
    return contexts, observed, Packing([5, 3, 1], torch.device("cpu"))


def multi_attn(names, layers, bias=False):
    torch.manual_seed(0)
    return MultiAttn(names, layers, SIZE, HEADS, INNER, dropout=0.0, bias=bias).double()


@pytest.mark.parametrize("bias", [False, True])
def test_multiattn_is_eq_2_to_12(dialogues, bias):
    contexts, observed, packing = dialogues
    fusion = multi_attn(list(ORDER), 3, bias)
    fused = fusion(contexts, observed, packing)
    for name, others in ORDER.items():
        for rows in torch.arange(9).split([5, 3, 1]):
            one = {m: c[rows] for m, c in contexts.items()}
            seen = {m: o[rows] for m, o in observed.items()}
            expected = one[name]
            for layer in fusion.layers[name]:
                expected = layer_written_out(layer, expected, one, seen, others)
            torch.testing.assert_close(fused[name][rows], expected, rtol=1e-10, atol=1e-10)


def test_what_is_no_key_does_not_matter(dialogues):
    contexts, observed, packing = dialogues
    fusion = multi_attn(list(ORDER), 1)
    keys_only = {m: torch.where(observed[m][:, None], c, 1e6) for m, c in contexts.items()}
    before = fusion(contexts, observed, packing)["text"]
    after = fusion(keys_only | {"text": contexts["text"]}, observed, packing)["text"]
    torch.testing.assert_close(after, before, rtol=1e-12, atol=1e-12)


def test_a_dialogue_without_keys_has_finite_gradients(dialogues):
    contexts, observed, packing = dialogues
    nothing = {m: torch.zeros_like(o) for m, o in observed.items()}
    leaves = {m: c.clone().requires_grad_() for m, c in contexts.items()}
    fusion = multi_attn(list(ORDER), 2)
    fused = fusion(leaves, nothing, packing)
    sum((f**2).sum() for f in fused.values()).backward()
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves.values())


@pytest.mark.parametrize("names", [["text"], ["visual", "audio"], ["text", "visual"]])
def test_fewer_modalities_have_fewer_cross_attentions(dialogues, names):
    contexts, observed, packing = dialogues
    fusion = multi_attn(names, 2)
    fused = fusion({m: contexts[m] for m in names}, {m: observed[m] for m in names}, packing)
    assert sorted(fused) == sorted(names)
    for name in names:
        assert [list(layer.attend) for layer in fusion.layers[name]] == [[m for m in names if m != name]] * 2
