"""MultiAttn against Eq. 2-12 written out, head by head."""

from __future__ import annotations

import math

import pytest
import torch

from train.fusion import MultiAttn, MultiAttnLayer
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
        w_q, w_k, w_v = (linear.weight[block].T for linear in (stage.query, stage.key, stage.value))
        q, k, v = query @ w_q, context[keys] @ w_k, context[keys] @ w_v
        heads.append(torch.softmax(q @ k.T / math.sqrt(width), dim=-1) @ v if keys else torch.zeros_like(q))
    multi_head = torch.cat(heads, dim=-1) @ stage.output.weight.T
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


def test_multiattn_is_eq_2_to_12(dialogues):
    contexts, observed, packing = dialogues
    torch.manual_seed(0)
    fusion = MultiAttn(list(ORDER), layers=3, size=SIZE, heads=HEADS, inner_size=INNER, dropout=0.0).double()
    fused = fusion(contexts, observed, packing)
    for name, others in ORDER.items():
        for rows in torch.arange(9).split([5, 3, 1]):
            one = {m: c[rows] for m, c in contexts.items()}
            seen = {m: o[rows] for m, o in observed.items()}
            expected = one[name]
            for layer in fusion.layers[name]:
                expected = layer_written_out(layer, expected, one, seen, others)
            torch.testing.assert_close(fused[name][rows], expected, rtol=1e-10, atol=1e-10)


def test_attention_projections_have_no_bias():
    names = [n for n, _ in MultiAttnLayer(["audio"], SIZE, HEADS, INNER, 0.0).attend.named_parameters()]
    assert sorted(names) == [f"audio.{n}" for n in (
        "key.weight", "norm.bias", "norm.weight", "output.weight", "query.weight", "value.weight"
    )]  # fmt: skip


def test_what_is_no_key_does_not_matter(dialogues):
    contexts, observed, packing = dialogues
    fusion = MultiAttn(list(ORDER), layers=1, size=SIZE, heads=HEADS, inner_size=INNER, dropout=0.0).double()
    keys_only = {m: torch.where(observed[m][:, None], c, 1e6) for m, c in contexts.items()}
    before = fusion(contexts, observed, packing)["text"]
    after = fusion(keys_only | {"text": contexts["text"]}, observed, packing)["text"]
    torch.testing.assert_close(after, before, rtol=1e-12, atol=1e-12)


def test_a_dialogue_without_keys_has_finite_gradients(dialogues):
    contexts, observed, packing = dialogues
    nothing = {m: torch.zeros_like(o) for m, o in observed.items()}
    leaves = {m: c.clone().requires_grad_() for m, c in contexts.items()}
    fusion = MultiAttn(list(ORDER), layers=2, size=SIZE, heads=HEADS, inner_size=INNER, dropout=0.0).double()
    fused = fusion(leaves, nothing, packing)
    sum((f**2).sum() for f in fused.values()).backward()
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves.values())


@pytest.mark.parametrize("names", [["text"], ["visual", "audio"], ["text", "visual"]])
def test_fewer_modalities_have_fewer_cross_attentions(dialogues, names):
    contexts, observed, packing = dialogues
    fusion = MultiAttn(names, layers=2, size=SIZE, heads=HEADS, inner_size=INNER, dropout=0.0).double()
    fused = fusion({m: contexts[m] for m in names}, {m: observed[m] for m in names}, packing)
    assert sorted(fused) == sorted(names)
    for name in names:
        assert [list(layer.attend) for layer in fusion.layers[name]] == [[m for m in names if m != name]] * 2
