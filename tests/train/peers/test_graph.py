"""The graph layers against those of torch_geometric, one graph of a dialogue at a time."""

from __future__ import annotations

import importlib
import math

import pytest
import torch

from train.packing import Packing
from train.peers.graph import (
    GraphConvolution,
    InitialResidual,
    RelationalConvolution,
    TransformerConvolution,
    modality_graph,
    modality_nodes,
    modality_rows,
    window_edges,
)

LENGTHS = (7, 4, 3, 1)
PAST, FUTURE = 2, 1
SIZE, OUT_SIZE, SPEAKERS = 6, 4, 3


@pytest.fixture(autouse=True)
def _seeded_in_double():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def geometric():
    """Imported here and not above: it takes 3 s and 190 MB, which whoever collects tests would pay."""
    return importlib.import_module("torch_geometric.nn")


@pytest.fixture
def packing():
    return Packing(LENGTHS, torch.device("cpu"))


def rows_of(nodes, packing):
    return packing.from_lanes(nodes)


def window_graph():
    """torch_geometric's edges, from the second to the first, of all dialogues."""
    pairs, first = [], 0
    for length in LENGTHS:
        pairs += [
            (first + j, first + i)
            for i in range(length)
            for j in range(max(0, i - PAST), min(length, i + FUTURE + 1))
        ]
        first += length
    return torch.tensor(pairs).T


@pytest.mark.parametrize("bases", [None, 2])
@pytest.mark.parametrize("mean", [False, True])
def test_relational_convolution(geometric, packing, bases, mean):
    layer = RelationalConvolution(SIZE, OUT_SIZE, SPEAKERS, bases, mean)
    theirs = geometric.RGCNConv(
        SIZE, OUT_SIZE, 2 * SPEAKERS**2, num_bases=bases, aggr="mean" if mean else "add"
    )
    with torch.no_grad():
        theirs.weight.copy_(layer.weight)
        theirs.root.copy_(layer.itself.weight.T)
        theirs.bias.copy_(layer.itself.bias.normal_())
        if bases:
            theirs.comp.copy_(layer.coefficients)
    rows, speaker = torch.randn(sum(LENGTHS), SIZE), torch.randint(SPEAKERS, (sum(LENGTHS),))
    source, target = edges = window_graph()
    relation = ((source < target) * SPEAKERS + speaker[source]) * SPEAKERS + speaker[target]
    found = layer(packing.to_lanes(rows), window_edges(packing, PAST, FUTURE), packing.to_lanes(speaker))
    torch.testing.assert_close(rows_of(found, packing), theirs(rows, edges, relation))


def test_graph_convolution(geometric, packing):
    layer, theirs = GraphConvolution(SIZE, OUT_SIZE), geometric.GraphConv(SIZE, OUT_SIZE)
    theirs.lin_root.load_state_dict(layer.itself.state_dict())
    theirs.lin_rel.load_state_dict(layer.neighbours.state_dict())
    rows = torch.randn(sum(LENGTHS), SIZE)
    found = layer(packing.to_lanes(rows), window_edges(packing, PAST, FUTURE))
    torch.testing.assert_close(rows_of(found, packing), theirs(rows, window_graph()))


def test_transformer_convolution(geometric, packing):
    layer, theirs = (
        TransformerConvolution(SIZE, OUT_SIZE, heads=2),
        geometric.TransformerConv(SIZE, OUT_SIZE, heads=2),
    )
    names = {"query": "lin_query", "key": "lin_key", "value": "lin_value", "itself": "lin_skip"}
    for mine, other in names.items():
        getattr(theirs, other).load_state_dict(getattr(layer, mine).state_dict())
    rows = torch.randn(sum(LENGTHS), SIZE)
    found = layer(packing.to_lanes(rows), window_edges(packing, PAST, FUTURE))
    torch.testing.assert_close(rows_of(found, packing), theirs(rows, window_graph()))


def test_layers_of_gcnii_over_the_graph_of_modalities(geometric, packing):
    alpha, decay, count = 0.1, 0.5, sum(LENGTHS)
    observed = torch.rand(count, 3) > 0.3
    observed[-1] = False  # all of a dialogue
    rows = torch.randn(count, 3, SIZE)
    dialogue = torch.arange(len(LENGTHS)).repeat_interleave(torch.tensor(LENGTHS))
    nodes = observed.nonzero().tolist()
    edges, weights = [], []
    for a, (t, m) in enumerate(nodes):
        for b, (s, k) in enumerate(nodes):
            if dialogue[t] == dialogue[s] and (m == k or t == s):
                cosine = torch.nn.functional.cosine_similarity(rows[t, m], rows[s, k], dim=0)
                edges.append((a, b))
                weights.append(1 - torch.arccos(0.99999 * cosine) / math.pi)
    first = expected = torch.randn(len(nodes), SIZE)

    layers = InitialResidual(SIZE, 2, alpha, decay)
    for number, weight in enumerate(layers.weight, start=1):
        theirs = geometric.GCN2Conv(SIZE, alpha, decay, number, shared_weights=False, add_self_loops=False)
        with torch.no_grad():
            theirs.weight1.copy_(weight[:SIZE] / (1 - alpha))
            theirs.weight2.copy_(weight[SIZE:] / alpha)
        expected = theirs(expected, first, torch.tensor(edges).T, torch.stack(weights)).relu()

    graph = modality_graph(modality_nodes(rows, packing), modality_nodes(observed, packing), packing)
    of_all = torch.zeros(count, 3, SIZE)
    of_all[observed] = first
    first = h = modality_nodes(of_all, packing)
    for matrix, added in layers.of(first):
        h = (graph @ h @ matrix + added).relu()
    torch.testing.assert_close(modality_rows(h, packing)[observed], expected)
